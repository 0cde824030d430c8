//! Runs on threads of somebody else's: what `examples/rayon_runs.rs` and `examples/tokio_runs.rs` show.
#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::thread::{self, ThreadId};

use common::within_a_minute;
use impasse::{Handle, Owner, Run, RunError, Session, SessionBuilder, WaitError, WaitOnOwner};

/// A session whose runs call back, and say on which thread they are.
fn calls_back(builder: SessionBuilder<u32>) -> Session<u32, u32, (u32, ThreadId)> {
    builder.concurrent().engine(|run: &Run<u32>, n: u32| {
        run.call("add", move |base| base + n).map(|sum| (sum, thread::current().id()))
    })
}

/// Everything that is done with a session works whoever runs its runs.
fn works(
    owner: &Owner<u32>,
    session: &Session<u32, u32, (u32, ThreadId)>,
    is_of_pool: impl Fn(ThreadId) -> bool,
) {
    let vm: Handle<u32> = owner.handle();
    let (sum, on) = session.run(2).unwrap();
    assert_eq!(sum, 42);
    assert!(is_of_pool(on), "the run was on a thread of another");
    // Started together, and from a job of the owner that serves while it waits.
    let runs: Vec<_> = (0..8).map(|n| session.start(n).unwrap()).collect();
    for (n, run) in (0..).zip(runs) {
        let (sum, on) = run.wait().unwrap();
        assert_eq!(sum, 40 + n);
        assert!(is_of_pool(on));
    }
    let inside = session.clone();
    let served = vm.call("eval", move |_| inside.run(3).unwrap()).unwrap();
    assert_eq!(served.0, 43);
    assert!(is_of_pool(served.1));
}

fn owner() -> Owner<u32> {
    Owner::builder("vm").wait_on_owner(WaitOnOwner::Serve).spawn(|| 40).unwrap()
}

#[test]
fn runs_can_be_jobs_of_a_rayon_pool() {
    within_a_minute(|| {
        let owner = owner();
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());
        let threads = pool.broadcast(|_| thread::current().id());
        let session = calls_back(Session::builder("s", &owner.handle()).spawner(move |work| {
            pool.spawn(work);
            Ok(())
        }));
        works(&owner, &session, |on| threads.contains(&on));
    });
}

#[test]
fn runs_can_be_blocking_work_of_a_tokio_runtime() {
    within_a_minute(|| {
        let owner = owner();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let spawner = runtime.handle().clone();
        let session = calls_back(Session::builder("s", &owner.handle()).spawner(move |work| {
            drop(spawner.spawn_blocking(work));
            Ok(())
        }));
        let outside = thread::current().id();
        works(&owner, &session, |on| on != outside);
        let (sum, _) = runtime.block_on(session.start(5).unwrap().into_future()).unwrap();
        assert_eq!(sum, 45);
    });
}

/// The runtime is gone, and drops what it is given.
#[test]
fn a_run_for_a_runtime_that_has_ended_is_abandoned() {
    within_a_minute(|| {
        let owner = owner();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let spawner = runtime.handle().clone();
        drop(runtime);
        let session = calls_back(Session::builder("s", &owner.handle()).spawner(move |work| {
            drop(spawner.spawn_blocking(work));
            Ok(())
        }));
        assert!(matches!(session.run(1), Err(RunError::Abandoned { run: 1, .. })));
    });
}

/// The pool's threads go on with the lineage of nobody.
#[test]
fn a_run_leaves_no_lineage_on_the_thread_of_the_pool() {
    within_a_minute(|| {
        let owner = owner();
        let pool = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap());
        let runs = pool.clone();
        let session = Session::builder("s", &owner.handle())
            .spawner(move |work| {
                runs.spawn(work);
                Ok(())
            })
            .engine(|_: &Run<u32>, ()| Ok::<_, WaitError>(format!("{:?}", impasse::Lineage::current())));
        assert_ne!(session.run(()).unwrap(), "[]");
        assert_eq!(pool.install(|| format!("{:?}", impasse::Lineage::current())), "[]");
    });
}
