//! The seed's deadlock in twenty lines: a job on the owner runs a session whose engine calls back to the owner.
//!
//! `cargo run --example seed -- detect`, or block, reject, serve.

use impasse::{Owner, Session, WaitOnOwner};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let policy: WaitOnOwner = std::env::args().nth(1).as_deref().unwrap_or("detect").parse()?;
    let owner = Owner::builder("vm").wait_on_owner(policy).spawn(|| String::from("hello"))?;
    let vm = owner.handle();
    let session = Session::builder("inference", &vm).engine(|run, prompt: String| {
        run.call("middleware", move |greeting| format!("{greeting}, {prompt}"))
    });

    let answer = vm.call("eval", move |_| session.run("world".into()))?;
    match answer {
        Ok(answer) => println!("{answer}"),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
