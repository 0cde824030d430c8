//! Runs that end without an answer: a panic, a spawner that does not run them, an owner that is closed.
#![cfg(not(loom))]

mod common;

use std::io;
use std::sync::{Arc, Mutex as StdMutex, mpsc};
use std::thread;

use common::{busy, until, until_waited_for, within_a_minute};
use impasse::sync::Queue;
use impasse::{Handle, Owner, Run, RunError, Session, Shutdown, WaitError, WaitOnOwner};

type Work = Box<dyn FnOnce() + Send>;

fn owner(policy: WaitOnOwner) -> Owner<()> {
    Owner::builder("vm").wait_on_owner(policy).spawn(|| ()).unwrap()
}

/// A session whose runs wait for ever.
fn endless(name: &str, vm: &Handle<()>) -> Session<(), (), ()> {
    let never = Queue::new();
    Session::builder(name, vm).concurrent().engine(move |_: &Run<()>, ()| never.pop())
}

#[test]
fn a_run_that_panics_is_its_starters_error_and_the_session_lives_on() {
    within_a_minute(|| {
        let owner = owner(WaitOnOwner::Reject);
        let session = Session::builder("s", &owner.handle()).engine(|_: &Run<()>, breaks: bool| {
            assert!(!breaks, "the engine broke");
            Ok::<_, WaitError>(42)
        });
        let (settled, is_settled) = mpsc::channel();
        for how in 0..3 {
            let result = match how {
                0 => session.run(true),
                1 => session.start(true).unwrap().wait(),
                _ => {
                    let settled = settled.clone();
                    let run = session.start(true).unwrap();
                    run.on_settled("settle", move |(), result| settled.send(result).unwrap()).unwrap();
                    is_settled.recv().unwrap()
                }
            };
            let Err(RunError::Panicked(panicked)) = result else { panic!("{result:?}") };
            assert_eq!(panicked.message, "the engine broke");
            assert_eq!(panicked.at.map(|(file, _)| file), Some(file!().to_owned()));
        }
        assert_eq!(session.run(false).unwrap(), 42);
    });
}

#[test]
fn a_panic_of_a_cancelled_run_is_a_cancelled_run() {
    within_a_minute(|| {
        let owner = owner(WaitOnOwner::Reject);
        let session = Session::builder("s", &owner.handle()).engine(|run: &Run<()>, ()| {
            until(|| run.is_cancelled());
            panic!("breaks when it is cancelled");
            #[expect(unreachable_code, reason = "says what an engine returns")]
            Ok::<(), WaitError>(())
        });
        let run = session.start(()).unwrap();
        assert!(run.cancel());
        assert!(matches!(run.wait(), Err(RunError::Cancelled(_))));
    });
}

/// A session that runs what the spawner lets it.
fn with_spawner(
    vm: &Handle<()>,
    spawn: impl Fn(Work) -> io::Result<()> + Send + Sync + 'static,
) -> Session<(), u32, u32> {
    Session::builder("s", vm).spawner(spawn).engine(|run: &Run<()>, n| run.call("same", move |()| n))
}

#[test]
fn a_run_whose_spawner_drops_it_is_abandoned() {
    within_a_minute(|| {
        let owner = owner(WaitOnOwner::Reject);
        // It drops it at once, or later.
        let kept = Arc::new(StdMutex::new(Vec::<Work>::new()));
        let keeps = kept.clone();
        let at_once = with_spawner(&owner.handle(), |_| Ok(()));
        let later = with_spawner(&owner.handle(), move |work| {
            keeps.lock().unwrap().push(work);
            Ok(())
        });
        let is_abandoned = |result: &Result<u32, RunError>, id| matches!(result, Err(RunError::Abandoned { session, run, .. }) if &**session == "s" && *run == id);
        assert!(is_abandoned(&at_once.run(1), 1));
        assert!(is_abandoned(&at_once.start(1).unwrap().wait(), 2), "the session is free");
        let run = later.start(1).unwrap();
        assert!(run.is_running());
        kept.lock().unwrap().clear();
        assert!(!run.is_running());
        assert!(is_abandoned(&run.wait(), 1));
        let (settled, is_settled) = mpsc::channel();
        let run = later.start(1).unwrap();
        run.on_settled("settle", move |(), result| settled.send(result).unwrap()).unwrap();
        kept.lock().unwrap().clear();
        assert!(is_abandoned(&is_settled.recv().unwrap(), 2));
    });
}

#[test]
fn a_spawner_that_fails_is_the_starters_error() {
    within_a_minute(|| {
        let owner = owner(WaitOnOwner::Reject);
        let fails = |_: Work| Err(io::Error::other("the pool is closed"));
        let session = with_spawner(&owner.handle(), fails);
        let starts = session.clone();
        for result in
            [session.run(1), starts.start(1).map(|_| 0), session.run_timeout(std::time::Duration::MAX, 1)]
        {
            assert!(
                matches!(&result, Err(RunError::Thread { session, source, .. })
                    if &**session == "s" && source.to_string() == "the pool is closed"),
                "{result:?}"
            );
            assert_eq!(session.active(), None);
        }
        // The owner has nothing left to wait for.
        owner.shutdown(Shutdown::Drain).unwrap();
    });
}

#[test]
fn a_spawner_may_run_the_work_at_once() {
    within_a_minute(|| {
        let owner = owner(WaitOnOwner::Reject);
        let session = with_spawner(&owner.handle(), |work| {
            work();
            Ok(())
        });
        assert_eq!(session.run(1).unwrap(), 1);
        assert_eq!(session.start(2).unwrap().wait().unwrap(), 2);
    });
}

/// Starved in a queue of the spawner's, it is not seen to wait for anything, and can be cancelled all the same.
#[test]
fn a_run_that_never_began_is_cancelled_when_it_does() {
    within_a_minute(|| {
        let owner = owner(WaitOnOwner::Reject);
        let (queue, work) = mpsc::channel::<Work>();
        let session = with_spawner(&owner.handle(), move |work| {
            queue.send(work).map_err(|_| io::Error::other("closed"))
        });
        let run = session.start(1).unwrap();
        assert!(run.cancel());
        work.recv().unwrap()();
        assert!(matches!(run.wait(), Err(RunError::Cancelled(_))));
    });
}

#[test]
fn closing_the_owner_cancels_its_runs_and_only_those() {
    for how in [Shutdown::Drain, Shutdown::Now] {
        within_a_minute(move || {
            let (closing, other) = (owner(WaitOnOwner::Reject), owner(WaitOnOwner::Reject));
            let session = endless("closing", &closing.handle());
            let started = session.start(()).unwrap();
            let awaited = session.start(()).unwrap();
            let outside = {
                let session = session.clone();
                thread::spawn(move || session.run(()))
            };
            let elsewhere = endless("other", &other.handle()).start(()).unwrap();
            until_waited_for("run #3 of session `closing`");
            closing.shutdown(how).unwrap();
            let is_closed = |result: &Result<(), RunError>| matches!(result, Err(RunError::Closed(closed)) if &*closed.owner == "vm");
            assert!(is_closed(&outside.join().unwrap()));
            assert!(is_closed(&started.wait()));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            assert!(is_closed(&runtime.block_on(awaited.into_future())));
            assert!(is_closed(&session.run(())) && is_closed(&session.start(()).map(drop)));
            assert!(elsewhere.is_running());
            assert!(elsewhere.cancel());
            assert!(matches!(elsewhere.wait(), Err(RunError::Cancelled(_))));
        });
    }
}

/// The owner waits in one of its jobs, and serves.
#[test]
fn closing_an_owner_that_serves_ends_the_wait() {
    for how in [Shutdown::Drain, Shutdown::Now] {
        within_a_minute(move || {
            let owner = owner(WaitOnOwner::Serve);
            let vm = owner.handle();
            let session = endless("served", &vm);
            let caller = thread::spawn(move || vm.call("eval", move |()| session.run(())));
            until_waited_for("run #1 of session `served`");
            owner.shutdown(how).unwrap();
            let result = caller.join().unwrap();
            assert!(matches!(&result, Ok(Err(RunError::Closed(_)))), "{how:?}: {result:?}");
        });
    }
}

/// The settlement was promised before: `Drain` runs it, `Now` tells the hook.
#[test]
fn the_settlement_of_a_run_that_the_close_cancels_is_not_lost() {
    for how in [Shutdown::Drain, Shutdown::Now] {
        within_a_minute(move || {
            let (tell, told) = mpsc::channel();
            let builder = Owner::builder("vm").on_unrun(move |op, why| tell.send((op.label, why)).unwrap());
            let owner = builder.spawn(|| ()).unwrap();
            let held = busy(&owner.handle());
            let (settled, is_settled) = mpsc::channel();
            let run = endless("settles", &owner.handle()).start(()).unwrap();
            run.on_settled("settle", move |(), result| settled.send(result).unwrap()).unwrap();
            match how {
                Shutdown::Now => owner.handle().close_now(),
                _ => owner.handle().close(),
            }
            drop(held);
            owner.shutdown(how).unwrap();
            match how {
                Shutdown::Now => assert_eq!(told.recv().unwrap(), ("settle", impasse::Unrun::Closed)),
                _ => assert!(matches!(is_settled.recv().unwrap(), Err(RunError::Closed(_)))),
            }
            assert!(is_settled.recv().is_err() && told.try_recv().is_err(), "once");
        });
    }
}
