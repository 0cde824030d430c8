//! The mailbox, replies and shutdown. The owner is the model's main thread.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use impasse::{CallError, Handle, Owner, OwnerLoop};
use loom::thread;

use crate::runner::{Search, check, reports, twin};

type Count = Rc<Cell<usize>>;

fn counter() -> (Handle<Count>, OwnerLoop<Count>) {
    reports::reset();
    Owner::builder("vm").attach(Count::default())
}

/// The next number of the owner's count.
fn next(count: &Count) -> usize {
    count.set(count.get() + 1);
    count.get()
}

/// A call from another thread is answered, with what its job returned.
#[test]
fn a_call_is_answered() {
    check("a_call_is_answered", Search::Exhaustive, || {
        let (vm, owner) = counter();
        let caller = thread::spawn(move || {
            assert_eq!(vm.call("next", next), Ok(1), "the wrong answer");
            vm.close();
        });
        owner.run();
        caller.join().unwrap();
        assert_eq!(reports::count(), 0);
    });
}

#[test]
fn a_slot_that_wakes_before_it_publishes_loses_the_wake_up() {
    twin("wake-before-publish", "owner::a_call_is_answered", "deadlock;");
}

#[test]
fn a_slot_that_is_settled_twice_gives_the_wrong_answer() {
    twin("settle-twice", "owner::a_call_is_answered", "Causality violation");
}

/// Posts from two threads: both jobs run, whatever the owner is doing when they come.
#[test]
fn every_accepted_post_runs() {
    check("every_accepted_post_runs", Search::Exhaustive, || {
        let (vm, owner) = counter();
        let posters = [vm.clone(), vm].map(|vm| {
            thread::spawn(move || {
                let handle = vm.clone();
                let posted = vm.post("next", move |count| {
                    if next(count) == 2 {
                        handle.close();
                    }
                });
                assert_eq!(posted, Ok(()));
            })
        });
        owner.run();
        for poster in posters {
            poster.join().unwrap();
        }
    });
}

#[test]
fn an_owner_that_a_post_does_not_wake_sleeps_on() {
    twin("forget-parked", "owner::every_accepted_post_runs", "deadlock;");
}

/// A call against a racing shutdown: its job runs and it is answered, or it does not run and the caller is
/// told.
#[test]
fn a_job_runs_or_its_caller_is_told() {
    check("a_job_runs_or_its_caller_is_told", Search::Exhaustive, || {
        let (vm, owner) = counter();
        let ran = Arc::new(AtomicUsize::new(0));
        let (runs, handle) = (ran.clone(), vm.clone());
        let caller = thread::spawn(move || vm.call("next", move |_| runs.fetch_add(1, Ordering::Relaxed)));
        let closer = thread::spawn(move || handle.close());
        owner.run();
        closer.join().unwrap();
        match caller.join().unwrap() {
            Ok(before) => assert_eq!((before, ran.load(Ordering::Relaxed)), (0, 1)),
            Err(CallError::Closed(_)) => {
                assert_eq!(ran.load(Ordering::Relaxed), 0, "refused, and yet it ran")
            }
            Err(other) => panic!("{other}"),
        }
    });
}

#[test]
fn a_mailbox_that_accepts_after_it_closed_leaves_a_caller_behind() {
    twin("accept-after-close", "owner::a_job_runs_or_its_caller_is_told", "deadlock;");
}

/// The owner runs nothing until the post has returned.
#[test]
fn a_post_never_waits() {
    check("a_post_never_waits", Search::Exhaustive, || {
        let (vm, owner) = counter();
        let handle = vm.clone();
        let poster = thread::spawn(move || vm.post("next", |count| assert_eq!(next(count), 1)));
        assert_eq!(poster.join().unwrap(), Ok(()));
        handle.close();
        owner.run();
    });
}

#[test]
fn a_post_that_waits_hangs() {
    twin("post-waits", "owner::a_post_never_waits", "deadlock;");
}
