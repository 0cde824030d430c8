//! Calls with a time limit, calls inside calls, and who may make them inline, on real threads.
#![cfg(not(loom))]

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{Notice, busy, until, until_waited_for, within_a_minute};
use impasse::{CallError, Handle, Lineage, Owner, WaitOnOwner};

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3600);

type Log = RefCell<Vec<&'static str>>;

fn log_owner(name: &str) -> Owner<Log> {
    Owner::builder(name).spawn(Log::default).unwrap()
}

fn log(owner: &Handle<Log>) -> Vec<&'static str> {
    owner.call("look", |log| log.borrow().clone()).unwrap()
}

/// The time counts from the call: the job has not begun when the call returns, and never does.
#[test]
fn a_caller_whose_time_is_up_takes_its_job_along_and_does_not_wait_for_the_owner() {
    within_a_minute(|| {
        let owner = log_owner("vm");
        let vm = owner.handle();
        let held = busy(&vm);
        let (notice, is_dropped) = Notice::new();
        let began = Instant::now();
        let late = vm.call_timeout("late", SHORT, move |log| {
            let _captured = &notice;
            log.borrow_mut().push("late");
        });
        assert!(
            matches!(&late, Err(CallError::TimedOut { owner, timeout, .. }) if &**owner == "vm" && *timeout == SHORT),
            "{late:?}"
        );
        assert!(began.elapsed() >= SHORT, "it left before its time was up");
        assert_eq!(
            is_dropped.try_recv(),
            Ok(thread::current().id()),
            "the leaver drops what the job captured"
        );
        drop(held);
        assert_eq!(log(&vm), [""; 0], "a job that was taken back ran");
    });
}

#[test]
fn a_job_that_has_begun_when_its_caller_leaves_finishes_and_its_result_is_dropped() {
    within_a_minute(|| {
        let owner = log_owner("vm");
        let vm = owner.handle();
        let mut timeout = SHORT;
        // Until the owner was quick enough to begin it.
        loop {
            let begun = Arc::new(AtomicBool::new(false));
            let (go, wait) = mpsc::channel::<()>();
            let (result, is_dropped) = Notice::new();
            let says = begun.clone();
            let late = vm.call_timeout("late", timeout, move |log| {
                says.store(true, Ordering::SeqCst);
                wait.recv().unwrap();
                log.borrow_mut().push("finished");
                result
            });
            assert!(matches!(late, Err(CallError::TimedOut { .. })));
            if !begun.load(Ordering::SeqCst) {
                timeout *= 2;
                continue;
            }
            assert!(is_dropped.try_recv().is_err(), "it is still being made");
            go.send(()).unwrap();
            is_dropped.recv().unwrap();
            assert_eq!(log(&vm), ["finished"]);
            break;
        }
    });
}

#[test]
fn an_answer_within_the_time_is_the_calls_result() {
    within_a_minute(|| {
        let owner = log_owner("vm");
        let vm = owner.handle();
        for timeout in [LONG, Duration::MAX] {
            assert_eq!(vm.call_timeout("soon", timeout, |_| 42), Ok(42));
        }
        let broken = vm.call_timeout("breaks", LONG, |_| -> () { panic!("broke") });
        assert!(matches!(broken, Err(CallError::Panicked(panicked)) if panicked.message == "broke"));
        drop(owner);
        assert!(matches!(vm.call_timeout("closed", LONG, |_| ()), Err(CallError::Closed(_))));
    });
}

/// The callback onto the first owner can only time out; that is no deadlock.
#[test]
fn a_call_with_a_time_limit_closes_no_cycle() {
    within_a_minute(|| {
        let [a, b] = ["a", "b"]
            .map(|name| Owner::builder(name).wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).unwrap());
        let (to_a, to_b) = (a.handle(), b.handle());
        let answer = a.handle().call("outer", move |()| {
            to_b.call("across", move |()| to_a.call_timeout("back", SHORT, |()| ()))
        });
        assert!(matches!(answer, Ok(Ok(Err(CallError::TimedOut { .. })))), "{answer:?}");
    });
}

#[test]
fn inline_calls_nest_to_any_depth_with_a_time_limit_or_without() {
    fn deeper(vm: &Handle<Log>, depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        let (next, thread) = (vm.clone(), thread::current().id());
        let job = move |_: &Log| {
            assert_eq!(thread::current().id(), thread);
            1 + deeper(&next, depth - 1)
        };
        match depth % 2 {
            0 => vm.call("deeper", job).unwrap(),
            _ => vm.call_timeout("deeper", Duration::ZERO, job).unwrap(),
        }
    }
    within_a_minute(|| {
        let owner = log_owner("vm");
        let vm = owner.handle();
        assert_eq!(vm.clone().call("outer", move |_| deeper(&vm, 200)), Ok(200));
    });
}

#[test]
fn the_panic_of_the_innermost_inline_call_ends_no_other() {
    within_a_minute(|| {
        let owner = log_owner("vm");
        let vm = owner.handle();
        let (outer, inner) = (vm.clone(), vm.clone());
        let seen = vm.call("outer", move |log| {
            let middle = outer.call("middle", move |log| {
                let innermost = inner.call("innermost", |_| -> () { panic!("broke") });
                assert!(matches!(innermost, Err(CallError::Panicked(panicked)) if panicked.op.label == "innermost"));
                log.borrow_mut().push("middle goes on");
            });
            log.borrow_mut().push("outer goes on");
            middle
        });
        assert_eq!(seen, Ok(Ok(())));
        assert_eq!(log(&vm), ["middle goes on", "outer goes on"]);
    });
}

/// A job starts `thread`, which posts and calls, and goes on only when both are queued.
fn queues(name: &'static str, start: impl FnOnce(Box<dyn FnOnce() + Send>) + Send + 'static) {
    within_a_minute(move || {
        let owner = log_owner(name);
        let vm = owner.handle();
        let (leaked, watched) = (vm.clone(), vm.clone());
        let answered = Arc::new(AtomicUsize::new(0));
        let says = answered.clone();
        vm.call("job", move |log| {
            start(Box::new(move || {
                leaked.post("post", |log| log.borrow_mut().push("post")).unwrap();
                assert!(!leaked.is_owner());
                leaked.call("call", |log| log.borrow_mut().push("call")).unwrap();
                says.fetch_add(1, Ordering::SeqCst);
            }));
            until(|| watched.len() == 2);
            until_waited_for(&format!("a job on owner `{}`", watched.name()));
            log.borrow_mut().push("job");
        })
        .unwrap();
        until(|| answered.load(Ordering::SeqCst) == 1);
        assert_eq!(log(&vm), ["job", "post", "call"]);
    });
}

#[test]
fn a_thread_that_inherited_the_lineage_of_a_job_queues() {
    queues("inherited", |body| drop(impasse::thread::spawn_named("heir", body).unwrap()));
}

#[test]
fn a_thread_that_adopted_the_lineage_of_a_job_queues() {
    queues("adopted", |body| {
        let lineage = Lineage::current();
        drop(thread::spawn(move || lineage.enter(body)));
    });
}

#[test]
fn a_job_of_another_owner_that_acts_on_behalf_of_a_job_queues() {
    let other = Owner::builder("other").spawn(|| ()).unwrap();
    let to_other = other.handle();
    queues("crossed", move |body| to_other.post("across", move |()| body()).unwrap());
}
