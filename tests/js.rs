//! The VM as a library.
#![cfg(not(loom))]

use std::sync::{Arc, Mutex, mpsc};

use impasse::js::{Console, Script, spawn_vm};
use impasse::{Shutdown, WaitOnOwner};

fn script(source: &str) -> Script {
    Script { name: "test.js".into(), source: source.into() }
}

/// Runs a script to its end, and returns what it printed and what it threw.
fn run(source: &str) -> (Vec<String>, Option<String>) {
    let printed = Arc::new(Mutex::new(Vec::new()));
    let lines = printed.clone();
    let console: Console = Arc::new(move |line| lines.lock().unwrap().push(line.to_owned()));
    let owner = spawn_vm(WaitOnOwner::Serve, console).unwrap();
    let (done, ended) = mpsc::channel();
    script(source).start(&owner.handle(), move |result| done.send(result).unwrap()).unwrap();
    let thrown = ended.recv().unwrap().err().map(|exception| exception.to_string());
    owner.shutdown(Shutdown::Drain).unwrap();
    let printed = std::mem::take(&mut *printed.lock().unwrap());
    (printed, thrown)
}

#[test]
fn a_panic_of_the_host_is_an_exception_and_does_not_come_back() {
    let console: Console = Arc::new(|line| assert_ne!(line, "boom", "the console broke"));
    let owner = spawn_vm(WaitOnOwner::Reject, console).unwrap();
    let (done, ended) = mpsc::channel();
    let source = "
        let seen = null;
        try { console.log('boom'); } catch (error) { seen = error; }
        assert(seen.name === 'InternalError' && seen.message.includes('the console broke'), String(seen));
        // The next exception is an ordinary one.
        try { null.x; } catch (error) { assert(error instanceof TypeError, String(error)); }
    ";
    script(source).start(&owner.handle(), move |result| done.send(result).unwrap()).unwrap();
    assert_eq!(ended.recv().unwrap(), Ok(()));
}

#[test]
fn microtasks_run_after_the_statement_that_serves_and_not_inside_it() {
    let (printed, thrown) = run("
        const gp = require('geppetto');
        Promise.resolve().then(() => console.log('microtask'));
        gp.createSession({ engine: gp.engines.fromFunction((turn) => { console.log('callback'); return turn; }) }).run();
        console.log('statement');");
    assert_eq!(thrown, None);
    assert_eq!(printed, ["callback", "statement", "microtask"]);
}

#[test]
fn a_script_is_done_when_its_last_run_has_settled() {
    let (printed, thrown) = run("
        const gp = require('geppetto');
        const session = () => gp.createSession({ engine: gp.engines.fromFunction((turn) => turn) });
        session().runAsync().then(() => session().runAsync()).then(() => console.log('the second'));
        console.log('top level');");
    assert_eq!(thrown, None);
    assert_eq!(printed, ["top level", "the second"]);
}

#[test]
fn sloppy_scripts_run() {
    assert_eq!(run("undeclared = 1; console.log(undeclared + 1);"), (vec!["2".into()], None));
}

#[test]
fn a_vm_can_be_made_and_dropped_many_times() {
    for _ in 0..50 {
        let (printed, thrown) = run("
            const gp = require('geppetto');
            const turn = gp.createSession({ engine: gp.engines.fromFunction((turn) => turn) }).run();
            console.log(turn.blocks.length);");
        assert_eq!((printed, thrown), (vec!["0".to_owned()], None));
    }
}
