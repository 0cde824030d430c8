//! Runs as jobs of a rayon pool, whose threads are there already.
//!
//! `cargo run --example rayon_runs`
//!
//! The pool's queue is anybody's: a run that waits in it counts as live, so if all threads of the pool wait for runs
//! that are still queued there, nobody is told. Keep such waits out of the pool, or give the runs one of their own.

use impasse::{Lineage, Owner, Run, Session, WaitOnOwner};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let owner = Owner::builder("vm").wait_on_owner(WaitOnOwner::Serve).spawn(|| vec![1, 2, 3])?;
    let vm = owner.handle();
    let session = Session::builder("sums", &vm)
        .spawner(|work| {
            rayon::spawn(work);
            Ok(())
        })
        .engine(|run: &Run<Vec<u64>>, factor: u64| {
            // Parts of the work that go to the pool take the run's lineage along: so the owner knows, while it waits
            // for the run, that their callbacks belong to it.
            let (lineage, vm) = (Lineage::current(), run.owner());
            let len = run.call("len", Vec::len)?;
            let parts: Vec<_> = std::thread::scope(|scope| {
                let part = |at: usize| {
                    let lineage = &lineage;
                    scope.spawn(move || lineage.enter(|| vm.call("item", move |items| items[at] * factor)))
                };
                let parts: Vec<_> = (0..len).map(part).collect();
                parts.into_iter().map(|part| part.join().expect("no part panics")).collect()
            });
            parts.into_iter().sum::<Result<u64, _>>()
        });

    println!("from outside: {}", session.run(2)?);
    // And from a job of the owner, which serves the callbacks of the run while it waits.
    println!("from a job of the owner: {}", vm.call("eval", move |_| session.run(7))??);
    Ok(())
}
