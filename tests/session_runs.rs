//! Runs and their handles: waiting, once or again, one at a time or several, on real threads.
#![cfg(not(loom))]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::{until, within_a_minute};
use impasse::sync::Queue;
use impasse::{Handle, Owner, Run, RunError, RunHandle, Session, WaitError};

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3600);

fn owner() -> Owner<()> {
    Owner::builder("vm").spawn(|| ()).unwrap()
}

/// A session whose runs end when they are told what to answer, by a channel that is not seen.
fn told(vm: &Handle<()>) -> (Session<(), (), u32>, mpsc::Sender<u32>) {
    let (tell, answer) = mpsc::channel();
    let answer = Mutex::new(answer);
    let engine = move |_: &Run<()>, ()| answer.lock().unwrap().recv();
    (Session::builder("told", vm).engine(engine), tell)
}

fn is_taken(result: &Result<u32, RunError>) -> bool {
    matches!(result, Err(RunError::Taken { session, run: 1, .. }) if &**session == "told")
}

#[test]
fn a_run_is_given_its_input_and_gives_its_output() {
    within_a_minute(|| {
        let owner = owner();
        let session = Session::builder("double", &owner.handle())
            .engine(|run: &Run<()>, n: u32| run.call("double", move |()| n * 2));
        assert_eq!(session.run(4).unwrap(), 8);
        assert_eq!(session.run_timeout(LONG, 5).unwrap(), 10);
        assert_eq!(session.run_timeout(Duration::MAX, 6).unwrap(), 12);
        let run = session.start(7).unwrap();
        assert_eq!((run.id(), run.wait().unwrap()), (4, 14));
    });
}

#[test]
fn a_run_whose_time_is_up_is_cancelled() {
    within_a_minute(|| {
        let owner = owner();
        let (ended, end) = mpsc::channel();
        let never = Queue::<()>::new();
        let session = Session::builder("s", &owner.handle()).engine(move |_: &Run<()>, ()| {
            let popped = never.pop();
            ended.send(popped.clone()).unwrap();
            popped
        });
        let late = session.run_timeout(SHORT, ());
        assert!(
            matches!(&late, Err(RunError::TimedOut { session, run: 1, timeout, .. }) if &**session == "s" && *timeout == SHORT),
            "{late:?}"
        );
        assert!(matches!(end.recv().unwrap(), Err(WaitError::Cancelled(_))));
        until(|| session.active().is_none());
    });
}

#[test]
fn a_run_that_was_waited_for_in_vain_goes_on_and_can_be_waited_for_again() {
    within_a_minute(|| {
        let owner = owner();
        let (session, tell) = told(&owner.handle());
        let mut run = session.start(()).unwrap();
        for _ in 0..3 {
            assert!(matches!(run.wait_timeout(SHORT), Err(RunError::TimedOut { run: 1, .. })));
            assert!(run.is_running());
        }
        tell.send(42).unwrap();
        assert_eq!(run.wait_timeout(LONG).unwrap(), 42);
        assert!(!run.is_running());
    });
}

#[test]
fn a_result_is_taken_once() {
    within_a_minute(|| {
        let owner = owner();
        // Each from a session of its own: the number of the run is part of the error.
        let taken = || -> RunHandle<(), u32> {
            let (session, tell) = told(&owner.handle());
            let mut run = session.start(()).unwrap();
            tell.send(42).unwrap();
            assert_eq!(run.wait_timeout(LONG).unwrap(), 42);
            run
        };
        let mut run = taken();
        assert!(is_taken(&run.wait_timeout(LONG)));
        assert!(is_taken(&run.wait()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert!(is_taken(&runtime.block_on(async { taken().await })));
        let (settled, is_settled) = mpsc::channel();
        taken().on_settled("settle", move |(), result| settled.send(result).unwrap()).unwrap();
        assert!(is_taken(&is_settled.recv().unwrap()));
    });
}

#[test]
fn is_running_is_so_until_the_answer_is_there() {
    within_a_minute(|| {
        let owner = owner();
        let (session, tell) = told(&owner.handle());
        let run = session.start(()).unwrap();
        assert!(run.is_running());
        tell.send(42).unwrap();
        until(|| !run.is_running());
        assert_eq!(run.wait().unwrap(), 42);
    });
}

#[test]
fn a_run_whose_handle_is_dropped_goes_on() {
    within_a_minute(|| {
        let owner = owner();
        let (said, says) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let session = Session::builder("s", &owner.handle()).engine(move |run: &Run<()>, ()| {
            wait.lock().unwrap().recv().unwrap();
            let said = said.clone();
            run.call("callback", move |()| said.send(()).unwrap())
        });
        drop(session.start(()).unwrap());
        drop(session.start(()));
        go.send(()).unwrap();
        says.recv().unwrap();
    });
}

#[test]
fn a_second_run_is_refused_while_one_goes_on_and_nothing_is_started() {
    within_a_minute(|| {
        let owner = owner();
        let (session, tell) = told(&owner.handle());
        assert_eq!(session.active(), None);
        let run = session.start(()).unwrap();
        assert_eq!(session.active(), Some(1));
        for refused in
            [session.start(()).map(drop), session.run(()).map(drop), session.run_timeout(LONG, ()).map(drop)]
        {
            assert!(
                matches!(&refused, Err(RunError::Active { session, active: 1, .. }) if &**session == "told"),
                "{refused:?}"
            );
            assert!(refused.unwrap_err().to_string().contains("an active run, #1"));
        }
        tell.send(1).unwrap();
        assert_eq!(run.wait().unwrap(), 1);
        // Whoever learns of the end finds the session free.
        assert_eq!(session.active(), None);
        tell.send(2).unwrap();
        assert_eq!(session.run(()).unwrap(), 2, "the refused runs have taken no answer");
    });
}

/// A cancelled run that has not come to its end still is the active one.
#[test]
fn a_cancelled_run_is_active_until_its_engine_ends() {
    within_a_minute(|| {
        let owner = owner();
        let (session, tell) = told(&owner.handle());
        let run = session.start(()).unwrap();
        assert!(run.cancel());
        assert!(matches!(session.start(()), Err(RunError::Active { active: 1, .. })));
        tell.send(1).unwrap();
        assert!(matches!(run.wait(), Err(RunError::Cancelled(_))));
        tell.send(2).unwrap();
        assert_eq!(session.run(()).unwrap(), 2);
    });
}

#[test]
fn of_many_that_start_at_once_one_is_the_active_run() {
    within_a_minute(|| {
        let owner = owner();
        for _ in 0..200 {
            let (session, tell) = told(&owner.handle());
            let (session, at_once) = (Arc::new(session), Arc::new(Barrier::new(4)));
            let starters: Vec<_> = (0..4)
                .map(|_| {
                    let (session, at_once) = (session.clone(), at_once.clone());
                    thread::spawn(move || {
                        at_once.wait();
                        session.start(())
                    })
                })
                .collect();
            let (started, refused): (Vec<_>, Vec<_>) =
                starters.into_iter().map(|starter| starter.join().unwrap()).partition(Result::is_ok);
            assert_eq!((started.len(), refused.len()), (1, 3));
            let active = started[0].as_ref().unwrap().id();
            for refused in refused {
                assert!(matches!(refused, Err(RunError::Active { active: said, .. }) if said == active));
            }
            tell.send(0).unwrap();
        }
    });
}

#[test]
fn a_concurrent_session_has_several_runs_at_a_time() {
    within_a_minute(|| {
        let owner = owner();
        let all_there = Arc::new(Barrier::new(3));
        let meets = all_there.clone();
        let session = Session::builder("s", &owner.handle()).concurrent().engine(move |run: &Run<()>, ()| {
            meets.wait();
            Ok::<_, RunError>(run.id())
        });
        let runs: Vec<_> = (0..3).map(|_| session.start(()).unwrap()).collect();
        let ids: Vec<_> = runs.into_iter().map(|run| run.wait().unwrap()).collect();
        assert_eq!((ids, session.active()), (vec![1, 2, 3], None));
    });
}

#[test]
fn a_run_is_awaited_under_any_executor() {
    within_a_minute(|| {
        let owner = owner();
        let session = Session::builder("s", &owner.handle())
            .concurrent()
            .engine(|run: &Run<()>, n: u32| run.call("same", move |()| n));
        let all = async || {
            let runs: Vec<_> =
                (0..20).map(|n| tokio::spawn(session.start(n).unwrap().into_future())).collect();
            for (n, run) in (0..).zip(runs) {
                assert_eq!(run.await.unwrap().unwrap(), n);
            }
        };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(all());
        tokio::runtime::Builder::new_multi_thread().worker_threads(3).build().unwrap().block_on(all());
    });
}

#[test]
fn a_run_is_settled_once_on_its_owner_before_or_after_its_end() {
    within_a_minute(|| {
        let owner = owner();
        let vm = owner.handle();
        let settlements = Arc::new(AtomicUsize::new(0));
        for is_over in [false, true] {
            let (session, tell) = told(&vm);
            let run = session.start(()).unwrap();
            if is_over {
                tell.send(42).unwrap();
                until(|| !run.is_running());
            }
            let (settled, is_settled) = mpsc::channel();
            let (inside, count) = (vm.clone(), settlements.clone());
            run.on_settled("settle", move |(), result| {
                count.fetch_add(1, Ordering::SeqCst);
                settled.send((inside.is_owner(), result.unwrap())).unwrap();
            })
            .unwrap();
            if !is_over {
                assert!(is_settled.try_recv().is_err(), "settled before the end");
                tell.send(42).unwrap();
            }
            assert_eq!(is_settled.recv().unwrap(), (true, 42));
        }
        drop(owner);
        assert_eq!(settlements.load(Ordering::SeqCst), 2);
    });
}
