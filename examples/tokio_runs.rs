//! Runs as blocking work of a tokio runtime, and their results as futures.
//!
//! `cargo run --example tokio_runs`

use impasse::{Owner, Run, Session};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let owner = Owner::builder("vm").spawn(|| String::from("hello"))?;
    let vm = owner.handle();
    let runtime = tokio::runtime::Handle::current();
    let session = Session::builder("greetings", &vm)
        .concurrent()
        // An engine waits by blocking, so it must not be on a thread that polls.
        .spawner(move |work| {
            drop(runtime.spawn_blocking(work));
            Ok(())
        })
        .engine(|run: &Run<String>, name: &'static str| {
            run.call("greet", move |greeting| format!("{greeting}, {name}"))
        });

    let runs = ["Ada", "Grace"].map(|name| session.start(name));
    for run in runs {
        println!("{}", run?.await?);
    }
    // A single call needs no run.
    println!("{} bytes", vm.call_async("len", String::len).await?);
    Ok(())
}
