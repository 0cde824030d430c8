//! The owner loop, on real threads.
#![cfg(not(loom))]

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};

use common::within_a_minute;
use impasse::{CallError, Closed, Owner, Shutdown, ShutdownError, SpawnError};

/// An owner of a log.
fn log_owner() -> Owner<RefCell<Vec<usize>>> {
    Owner::builder("log").spawn(RefCell::default).unwrap()
}

#[test]
fn a_call_from_the_owner_runs_inline() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| Cell::new(0)).unwrap();
        let vm = owner.handle();
        let inner = vm.clone();
        let seen = vm.call("outer", move |count| {
            count.set(1);
            let deepest = inner.clone();
            let from_inner = inner.call("inner", move |count| {
                count.set(count.get() + 10);
                deepest.call("deepest", |count| count.get() + 100).unwrap()
            });
            (from_inner, count.get())
        });
        assert_eq!(seen, Ok((Ok(111), 11)));
    });
}

#[test]
fn the_panic_of_an_inline_call_is_the_inner_callers_error() {
    within_a_minute(|| {
        let owner = log_owner();
        let vm = owner.handle();
        let inner = vm.clone();
        let seen = vm.call("outer", move |_| match inner.call("inner", |_| panic!("inner broke")) {
            Err(CallError::Panicked(panicked)) => (panicked.op.label, panicked.message),
            other => panic!("{other:?}"),
        });
        assert_eq!(seen, Ok(("inner", "inner broke".to_owned())));
    });
}

#[test]
fn a_post_from_the_owner_runs_after_the_job() {
    within_a_minute(|| {
        let owner = log_owner();
        let vm = owner.handle();
        let inner = vm.clone();
        vm.call("outer", move |log| {
            inner.post("later", |log| log.borrow_mut().push(2)).unwrap();
            log.borrow_mut().push(1);
        })
        .unwrap();
        assert_eq!(vm.call("look", |log| log.borrow().clone()), Ok(vec![1, 2]));
    });
}

#[test]
fn post_never_waits() {
    within_a_minute(|| {
        let owner = log_owner();
        let vm = owner.handle();
        let (go, wait) = mpsc::channel::<()>();
        vm.post("busy", move |_| wait.recv().unwrap()).unwrap();
        for number in 0..1000 {
            vm.post("push", move |log| log.borrow_mut().push(number)).unwrap();
        }
        go.send(()).unwrap();
        let log = vm.call("look", |log| log.borrow().clone()).unwrap();
        assert_eq!(log, (0..1000).collect::<Vec<_>>(), "jobs run in the order they came");
    });
}

#[test]
fn a_panicking_job_is_its_callers_error_and_the_owner_lives_on() {
    within_a_minute(|| {
        let owner = log_owner();
        let vm = owner.handle();
        let line = line!() + 1;
        let Err(CallError::Panicked(panicked)) = vm.call("break", |_| -> () { panic!("broke at {}", 7) })
        else {
            panic!("no panic arrived");
        };
        assert_eq!((panicked.op.label, &*panicked.message), ("break", "broke at 7"));
        assert_eq!((panicked.op.site().file, panicked.op.site().line), (file!(), line));
        vm.post("break too", |_| panic!("a post broke")).unwrap();
        assert_eq!(vm.call("look", |log| log.borrow().len()), Ok(0));
    });
}

#[test]
fn a_call_after_close_is_refused() {
    within_a_minute(|| {
        let owner = log_owner();
        let vm = owner.handle();
        assert!(!vm.is_closed());
        owner.shutdown(Shutdown::Drain).unwrap();
        assert!(vm.is_closed());
        assert!(
            matches!(vm.call("late", |_| ()), Err(CallError::Closed(Closed { owner, .. })) if &*owner == "log")
        );
        assert!(vm.post("late", |_| ()).is_err());
    });
}

#[test]
fn shutdown_runs_what_was_accepted() {
    within_a_minute(|| {
        let owner = log_owner();
        let vm = owner.handle();
        let ran = Arc::new(AtomicUsize::new(0));
        let (go, wait) = mpsc::channel::<()>();
        vm.post("busy", move |_| wait.recv().unwrap()).unwrap();
        for _ in 0..100 {
            let ran = ran.clone();
            vm.post("count", move |_| _ = ran.fetch_add(1, Ordering::Relaxed)).unwrap();
        }
        go.send(()).unwrap();
        owner.shutdown(Shutdown::Drain).unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), 100);
    });
}

#[test]
fn shutdown_from_a_job_of_the_owner_is_an_error_and_closes_it() {
    within_a_minute(|| {
        let owner = log_owner();
        let vm = owner.handle();
        let result = vm.call("shut down", move |_| owner.shutdown(Shutdown::Drain)).unwrap();
        assert!(matches!(result, Err(ShutdownError::OnOwner { owner, .. }) if &*owner == "log"));
        assert!(vm.is_closed());
    });
}

#[test]
fn dropping_the_owner_on_its_own_thread_does_not_hang() {
    within_a_minute(|| {
        let owner = log_owner();
        let vm = owner.handle();
        vm.call("drop", move |_| drop(owner)).unwrap();
        assert!(vm.is_closed());
    });
}

#[test]
fn the_state_is_made_used_and_dropped_on_the_owner_thread() {
    struct State(mpsc::Sender<ThreadId>);
    impl Drop for State {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }
    within_a_minute(|| {
        let (seen, threads) = mpsc::channel();
        let made = seen.clone();
        let owner = Owner::builder("vm")
            .spawn(move || {
                made.send(thread::current().id()).unwrap();
                State(made)
            })
            .unwrap();
        let on = owner.handle().call("look", |_| thread::current().id()).unwrap();
        owner.shutdown(Shutdown::Drain).unwrap();
        drop(seen);
        assert_eq!(threads.iter().collect::<Vec<_>>(), [on, on]);
        assert_ne!(on, thread::current().id());
    });
}

#[test]
fn a_state_that_cannot_be_made_is_the_spawners_error() {
    within_a_minute(|| {
        let panicked = Owner::builder("vm").spawn(|| -> () { panic!("no state") });
        assert!(matches!(panicked, Err(SpawnError::Panicked(panicked)) if panicked.message == "no state"));
        let failed = Owner::builder("vm").try_spawn(|| "x".parse::<u32>());
        let error = failed.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the state of owner `vm` could not be made: invalid digit found in string"
        );
    });
}

#[test]
fn a_state_that_cannot_be_dropped_is_the_error_of_the_shutdown() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("cannot be dropped");
        }
    }
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| Bad).unwrap();
        let ended = owner.shutdown(Shutdown::Drain);
        assert!(
            matches!(ended, Err(ShutdownError::Panicked(panicked)) if panicked.message == "cannot be dropped")
        );
    });
}

#[test]
fn is_owner_is_exact() {
    within_a_minute(|| {
        let owner = log_owner();
        let other = Owner::builder("other").spawn(|| ()).unwrap();
        let vm = owner.handle();
        assert!(!vm.is_owner());
        let (inside, elsewhere) = (vm.clone(), other.handle());
        let seen = vm.call("look", move |_| {
            let (from_thread, from_tracked, from_other) = (inside.clone(), inside.clone(), inside.clone());
            (
                inside.is_owner(),
                thread::spawn(move || from_thread.is_owner()).join().unwrap(),
                impasse::thread::spawn_named("tracked", move || from_tracked.is_owner())
                    .unwrap()
                    .join()
                    .unwrap(),
                elsewhere.call("look", move |_| from_other.is_owner()).unwrap(),
            )
        });
        assert_eq!(seen, Ok((true, false, false, false)));
    });
}

#[test]
fn a_thread_that_a_job_started_queues_its_calls() {
    within_a_minute(|| {
        let owner = log_owner();
        let vm = owner.handle();
        let inner = vm.clone();
        let thread = vm.call("start", move |log| {
            let thread = thread::spawn(move || inner.call("queued", |log| log.borrow_mut().push(2)));
            log.borrow_mut().push(1);
            thread
        });
        thread.unwrap().join().unwrap().unwrap();
        assert_eq!(vm.call("look", |log| log.borrow().clone()), Ok(vec![1, 2]));
    });
}

#[test]
fn an_attached_loop_runs_on_the_thread_that_has_it() {
    within_a_minute(|| {
        let (vm, main_loop) = Owner::builder("ui").attach(Rc::new(Cell::new(0)));
        let outside = thread::spawn(move || {
            let on = vm.call("where", |_| thread::current().id());
            vm.close();
            on
        });
        main_loop.run();
        assert_eq!(outside.join().unwrap(), Ok(thread::current().id()));
    });
}

#[test]
fn a_loop_that_is_never_run_tells_its_callers() {
    within_a_minute(|| {
        let (vm, main_loop) = Owner::builder("never run").attach(());
        let (dropped, is_dropped) = mpsc::channel();
        let notice = Notice(dropped);
        vm.post("first", move |_| drop(notice)).unwrap();
        let caller = thread::spawn(move || vm.call("second", |_| ()));
        while impasse::waiting_tasks().iter().all(|waiting| waiting.waits_for != "a job on owner `never run`")
        {
            thread::yield_now();
        }
        drop(main_loop);
        is_dropped.recv().unwrap();
        assert!(matches!(caller.join().unwrap(), Err(CallError::Closed(_))));
    });
    struct Notice(mpsc::Sender<()>);
    impl Drop for Notice {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
}

#[test]
fn five_hundred_threads_lose_nothing() {
    within_a_minute(|| {
        let owner = log_owner();
        let vm = owner.handle();
        let answers = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..500)
            .map(|number| {
                let (vm, answers) = (vm.clone(), answers.clone());
                thread::spawn(move || {
                    vm.post("post", move |log| log.borrow_mut().push(number)).unwrap();
                    let answer = vm.call("call", move |log| {
                        log.borrow_mut().push(1000 + number);
                        number
                    });
                    answers.lock().unwrap().push(answer.unwrap());
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let mut log = vm.call("look", |log| log.borrow().clone()).unwrap();
        for number in 0..500 {
            let at = |wanted| log.iter().position(|entry| *entry == wanted).unwrap();
            assert!(at(number) < at(1000 + number), "the post of thread {number} was overtaken by its call");
        }
        log.sort_unstable();
        assert_eq!(log, (0..500).chain(1000..1500).collect::<Vec<_>>());
        let mut answers = answers.lock().unwrap();
        answers.sort_unstable();
        assert_eq!(*answers, (0..500).collect::<Vec<_>>());
    });
}
