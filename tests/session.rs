//! Sessions under every policy, on real threads.
#![cfg(not(loom))]

mod common;

use std::cell::RefCell;
use std::sync::{Arc, Mutex, mpsc};

use common::within_a_minute;
use impasse::{CallError, Closed, Deadlock, Handle, Owner, Run, RunError, Session, Shutdown, WaitOnOwner};

type Log = RefCell<Vec<&'static str>>;

fn owner(name: &str, policy: WaitOnOwner) -> Owner<Log> {
    Owner::builder(name).wait_on_owner(policy).spawn(Log::default).unwrap()
}

/// A session whose run calls back once.
fn calling_back(vm: &Handle<Log>) -> Session<Log, (), &'static str> {
    Session::builder("inference", vm).engine(|run: &Run<Log>, ()| {
        run.call("middleware", |log| {
            log.borrow_mut().push("callback");
            "answer"
        })
    })
}

fn log(vm: &Handle<Log>) -> Vec<&'static str> {
    vm.call("look", |log| log.borrow().clone()).unwrap()
}

#[test]
fn detect_returns_the_same_report_to_the_callback_and_to_run() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Detect);
        let vm = owner.handle();
        let (told, refused) = mpsc::channel::<Deadlock>();
        let session = Session::builder("inference", &vm).engine(move |run: &Run<Log>, ()| {
            let called = run.call("middleware", |log| log.borrow_mut().push("callback"));
            let Err(CallError::Deadlock(deadlock)) = &called else { panic!("{called:?}") };
            told.send(deadlock.clone()).unwrap();
            called
        });
        let result = vm.call("eval", move |_| session.run(())).unwrap();
        let Err(RunError::Deadlock(deadlock)) = result else { panic!("{result:?}") };
        assert!(deadlock.is_same_report(&refused.recv().unwrap()));
        assert_eq!(log(&vm), [] as [&str; 0], "the refused job ran");
    });
}

#[test]
fn reject_starts_nothing_and_leaves_the_owner_dispatchable() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Reject);
        let vm = owner.handle();
        let session = calling_back(&vm);
        let from_outside = session.clone();
        let message = vm.call("eval", move |_| session.run(()).unwrap_err().to_string()).unwrap();
        assert!(message.starts_with("`session.run` (tests/session.rs:"), "{message}");
        assert!(message.contains("would block owner `vm`") && message.contains("use `start`"), "{message}");
        assert_eq!(log(&vm), [] as [&str; 0]);
        assert_eq!(from_outside.run(()).unwrap(), "answer", "off the owner it is an ordinary wait");
    });
}

#[test]
fn serve_completes() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Serve);
        let session = calling_back(&owner.handle());
        let answer = owner.handle().call("eval", move |_| session.run(()).unwrap());
        assert_eq!(answer, Ok("answer"));
    });
}

#[test]
fn an_owner_that_has_served_comes_to_rest() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Serve);
        let (vm, session) = (owner.handle(), calling_back(&owner.handle()));
        assert_eq!(vm.call("eval", move |_| session.run(()).unwrap()), Ok("answer"));
        assert_eq!(vm.wait_idle(), Ok(()));
    });
}

#[test]
fn a_session_overrides_the_policy_of_the_owner() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Reject);
        let vm = owner.handle();
        let engine = |run: &Run<Log>, ()| run.call("middleware", |_| "answer");
        let serving = Session::builder("s", &vm).wait_on_owner(WaitOnOwner::Serve).engine(engine);
        assert_eq!(vm.call("eval", move |_| serving.run(()).unwrap()), Ok("answer"));
        let detecting = Session::builder("s", &vm).wait_on_owner(WaitOnOwner::Detect).engine(engine);
        let result = vm.call("eval", move |_| detecting.run(())).unwrap();
        assert!(matches!(result, Err(RunError::Deadlock(_))), "{result:?}");
    });
}

#[test]
fn no_unrelated_job_runs_inside_a_serving_wait() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Serve);
        let vm = owner.handle();
        let unrelated = vm.clone();
        let session = Session::builder("s", &vm).engine(move |run: &Run<Log>, ()| {
            // From a thread that does not act on behalf of the run.
            let posts = unrelated.clone();
            std::thread::spawn(move || {
                posts.post("first", |log| log.borrow_mut().push("unrelated 1")).unwrap();
                posts.post("second", |log| log.borrow_mut().push("unrelated 2")).unwrap();
            })
            .join()
            .unwrap();
            run.owner().post("related", |log| log.borrow_mut().push("post of the run")).unwrap();
            run.call("callback", |log| log.borrow_mut().push("call of the run"))
        });
        vm.call("eval", move |log| {
            log.borrow_mut().push("before");
            session.run(()).unwrap();
            log.borrow_mut().push("after");
        })
        .unwrap();
        let expected =
            ["before", "post of the run", "call of the run", "after", "unrelated 1", "unrelated 2"];
        assert_eq!(log(&vm), expected);
    });
}

/// Work that the run hands to another thread still acts on its behalf.
#[test]
fn lineage_goes_through_threads_and_nested_runs() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Serve);
        let vm = owner.handle();
        let inner = calling_back(&vm);
        let session = Session::builder("outer", &vm).engine(move |run: &Run<Log>, ()| {
            let (vm, inner) = (run.owner().clone(), inner.clone());
            // Joined through a channel that the detector does not see: only lineage can tell.
            let (done, ended) = mpsc::channel();
            impasse::thread::spawn_named("helper", move || {
                vm.call("from the helper", |log| log.borrow_mut().push("helper")).unwrap();
                done.send(inner.run(()).unwrap()).unwrap();
            })?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(ended.recv()?)
        });
        assert_eq!(vm.call("eval", move |_| session.run(()).unwrap()), Ok("answer"));
        assert_eq!(log(&vm), ["helper", "callback"]);
    });
}

/// A nested run inside a served callback.
#[test]
fn serving_nests() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Serve);
        let vm = owner.handle();
        let inner = calling_back(&vm);
        let outer = Session::builder("outer", &vm).engine(move |run: &Run<Log>, ()| {
            let inner = inner.clone();
            run.call("middleware", move |log| {
                log.borrow_mut().push("outer callback");
                inner.run(()).unwrap()
            })
        });
        assert_eq!(vm.call("eval", move |_| outer.run(()).unwrap()), Ok("answer"));
        assert_eq!(log(&vm), ["outer callback", "callback"]);
    });
}

/// The awaited run waits for a thread that was started elsewhere and calls the owner.
#[test]
fn serve_runs_what_the_awaited_work_needs() {
    for _ in 0..200 {
        within_a_minute(|| {
            let owner = owner("vm", WaitOnOwner::Serve);
            let vm = owner.handle();
            let caller = vm.clone();
            let elsewhere = impasse::thread::spawn_named("elsewhere", move || {
                caller.post("before", |log| log.borrow_mut().push("its post")).unwrap();
                caller.call("needed", |log| log.borrow_mut().push("its call")).unwrap();
            })
            .unwrap();
            let elsewhere = Mutex::new(Some(elsewhere));
            let session = Session::builder("s", &vm)
                .engine(move |_: &Run<Log>, ()| elsewhere.lock().unwrap().take().unwrap().checked_join());
            vm.call("eval", move |_| session.run(()).unwrap()).unwrap();
            assert_eq!(log(&vm), ["its post", "its call"], "its earlier jobs go first");
        });
    }
}

/// A waits for X, which calls B; B waits for Y, which calls A.
#[test]
fn two_owners_that_serve_crosswise_complete() {
    for _ in 0..100 {
        within_a_minute(|| {
            let (a, b) = (owner("a", WaitOnOwner::Serve), owner("b", WaitOnOwner::Serve));
            let session = |from: &Handle<Log>, to: &Handle<Log>| {
                let to = to.clone();
                Session::builder("s", from).engine(move |_: &Run<Log>, ()| to.call("cross", |_| "answer"))
            };
            let (x, y) = (session(&a.handle(), &b.handle()), session(&b.handle(), &a.handle()));
            let (done, ended) = mpsc::channel();
            let also = done.clone();
            a.handle().post("a1", move |_| done.send(x.run(()).unwrap()).unwrap()).unwrap();
            b.handle().post("b1", move |_| also.send(y.run(()).unwrap()).unwrap()).unwrap();
            assert_eq!(ended.iter().collect::<Vec<_>>(), ["answer", "answer"]);
        });
    }
}

/// A calls B, which calls A back: the owners serve their own calls too.
#[test]
fn a_call_to_another_owner_that_calls_back_is_served() {
    within_a_minute(|| {
        let (a, b) = (owner("a", WaitOnOwner::Serve), owner("b", WaitOnOwner::Serve));
        let (to_a, to_b) = (a.handle(), b.handle());
        let back = to_a.clone();
        let answer = to_a
            .call("a1", move |_| to_b.call("b1", move |_| back.call("a2", |_| "answer").unwrap()).unwrap());
        assert_eq!(answer, Ok("answer"));
    });
}

/// S5: a worker that holds a lock calls the owner, and a job of the owner waits for the lock.
#[test]
fn a_job_that_waits_for_a_lock_serves_its_holder() {
    within_a_minute(|| {
        for _ in 0..200 {
            let owner = owner("vm", WaitOnOwner::Serve);
            let lock = Arc::new(impasse::sync::Mutex::named("table", 0));
            let (vm, table) = (owner.handle(), lock.clone());
            let (holds, is_held) = mpsc::channel();
            let worker = impasse::thread::spawn_named("worker", move || {
                let mut held = table.lock();
                holds.send(()).unwrap();
                *held += vm.call("from the worker", |_| 41).unwrap();
            });
            is_held.recv().unwrap();
            let seen = owner.handle().call("job", move |_| *lock.lock() + 1).unwrap();
            assert_eq!(seen, 42);
            worker.unwrap().checked_join().unwrap();
        }
    });
}

/// A cycle that serving cannot open is reported as under `Detect`.
#[test]
fn a_lock_cycle_is_reported_under_serve() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Serve);
        let lock = Arc::new(impasse::sync::Mutex::named("table", ()));
        let wanted = lock.clone();
        let session = Session::builder("s", &owner.handle())
            .engine(move |_: &Run<Log>, ()| wanted.checked_lock().map(drop));
        let result = owner.handle().call("eval", move |_| {
            let _held = lock.lock();
            session.run(())
        });
        let Ok(Err(RunError::Deadlock(deadlock))) = result else { panic!("{result:?}") };
        assert_eq!(deadlock.hops()[1].waits_for, "lock `table`");
    });
}

#[test]
fn a_started_run_can_be_waited_for_off_the_owner() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Reject);
        let session = calling_back(&owner.handle());
        let starter = session.clone();
        let run = owner.handle().call("start", move |_| starter.start(()).unwrap()).unwrap();
        assert_eq!((run.id(), run.wait().unwrap()), (1, "answer"));
        let run = session.start(()).unwrap();
        assert_eq!(run.id(), 2);
        let on_owner = owner.handle().call("wait", move |_| run.wait());
        assert!(matches!(on_owner, Ok(Err(RunError::WaitOnOwner { .. }))), "{on_owner:?}");
    });
}

#[test]
fn a_run_settles_once_on_the_owner() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Reject);
        let vm = owner.handle();
        let (told, settled) = mpsc::channel();
        let (session, handle) = (calling_back(&vm), vm.clone());
        // While it runs, and after it has ended.
        let ended = session.start(()).unwrap();
        while ended.is_running() {
            std::thread::yield_now();
        }
        for run in [session.start(()).unwrap(), ended] {
            let (told, handle) = (told.clone(), handle.clone());
            run.on_settled("settle", move |_, result| {
                told.send((handle.is_owner(), result.unwrap())).unwrap()
            })
            .unwrap();
        }
        drop(told);
        assert_eq!(settled.iter().collect::<Vec<_>>(), [(true, "answer"), (true, "answer")]);
    });
}

/// Closing the owner cancels the run, whose engine is in a wait that nothing can end.
#[test]
fn a_shutdown_waits_for_the_settlement_and_then_there_is_none() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Reject);
        let vm = owner.handle();
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let session = Session::builder("s", &vm)
            .concurrent()
            .engine(move |_: &Run<Log>, ()| wait.lock().unwrap().recv());
        let (told, settled) = mpsc::channel();
        let settle = move |_: &Log, result| told.send(matches!(result, Err(RunError::Closed(_)))).unwrap();
        session.start(()).unwrap().on_settled("settle", settle).unwrap();
        let other = session.start(()).unwrap();
        vm.close();
        let late = other.on_settled("late", |_, _| unreachable!("settled after the close"));
        assert!(matches!(late, Err(Closed { .. })));
        assert!(matches!(session.start(()), Err(RunError::Closed(_))));
        assert!(settled.try_recv().is_err(), "settled before the engine came to its end");
        drop(go);
        owner.shutdown(Shutdown::Drain).unwrap();
        assert_eq!(settled.try_recv(), Ok(true), "the shutdown did not wait for the settlement");
        assert!(settled.recv().is_err(), "settled twice");
    });
}

#[test]
fn what_goes_wrong_in_a_run_is_its_starters_error() {
    within_a_minute(|| {
        let owner = owner("vm", WaitOnOwner::Reject);
        let failing =
            Session::builder("s", &owner.handle()).engine(|_: &Run<Log>, text: &str| text.parse::<u8>());
        assert_eq!(failing.run("7").unwrap(), 7);
        let error = failing.run("x").unwrap_err();
        assert!(
            matches!(&error, RunError::Failed(source) if source.is::<std::num::ParseIntError>()),
            "{error:?}"
        );
        let panicking = Session::builder("s", &owner.handle())
            .engine(|_: &Run<Log>, ()| -> Result<(), CallError> { panic!("the engine broke") });
        let error = panicking.run(()).unwrap_err();
        assert!(matches!(&error, RunError::Panicked(panicked) if panicked.message == "the engine broke"));
        let closed = calling_back(&owner.handle());
        owner.shutdown(Shutdown::Drain).unwrap();
        let error = closed.run(()).unwrap_err();
        assert!(matches!(&error, RunError::Closed(closed) if &*closed.owner == "vm"), "{error:?}");
    });
}
