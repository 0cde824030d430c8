//! An owner that looks before it parks, and what comes through its hatch meanwhile. The owner is the model's main thread.
//!
//! Elsewhere owners park at once. Here they open the hatch, and shut it again at any moment: how long they would look
//! changes nothing that the others could see.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use impasse::{CallError, Handle, Owner, OwnerLoop};
use loom::thread;

use crate::runner::{Search, check, reports, twin};

type Count = Rc<Cell<usize>>;

fn counter() -> (Handle<Count>, OwnerLoop<Count>) {
    reports::reset();
    impasse::checking::let_owners_look(true);
    Owner::builder("vm").attach(Count::default())
}

/// The next number of the owner's count.
fn next(count: &Count) -> usize {
    count.set(count.get() + 1);
    count.get()
}

/// A call comes through the hatch or, if that is shut meanwhile, by the queue.
#[test]
fn a_call_to_an_owner_that_looks_is_answered() {
    check("a_call_to_an_owner_that_looks_is_answered", Search::Exhaustive, || {
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
fn an_owner_that_parks_while_a_job_is_on_its_way_sleeps_on() {
    twin("never-revoke", "hatch::a_call_to_an_owner_that_looks_is_answered", "deadlock;");
}

#[test]
fn a_job_handed_over_without_release_is_not_there_yet() {
    twin("relaxed-hand-over", "hatch::a_call_to_an_owner_that_looks_is_answered", "Causality violation");
}

/// What a task sends runs in that order, be it queued or handed over, whoever else calls at that time.
#[test]
fn a_call_does_not_overtake_what_its_task_has_queued() {
    let search = Search::Bounded(3, "two senders and an owner that looks");
    check("a_call_does_not_overtake_what_its_task_has_queued", search, || {
        let (vm, owner) = counter();
        let ended = Arc::new(AtomicUsize::new(0));
        let sender = |send: fn(&Handle<Count>)| {
            let (vm, ended) = (vm.clone(), ended.clone());
            thread::spawn(move || {
                send(&vm);
                if ended.fetch_add(1, Ordering::Relaxed) == 1 {
                    vm.close();
                }
            })
        };
        let in_order = sender(|vm| {
            vm.post("add ten", |count| count.set(count.get() + 10)).unwrap();
            assert!(vm.call("next", next).unwrap() > 10, "the call came first");
        });
        let beside = sender(|vm| assert!(vm.call("next", next).is_ok()));
        owner.run();
        in_order.join().unwrap();
        beside.join().unwrap();
    });
}

#[test]
fn an_owner_that_is_not_told_of_posts_runs_calls_first() {
    twin("tell-nobody", "hatch::a_call_does_not_overtake_what_its_task_has_queued", "the call came first");
}

/// A call against a racing shutdown: its job runs and it is answered, or it does not run and the caller is told.
#[test]
fn a_job_that_was_handed_over_runs_or_its_caller_is_told() {
    let search = Search::Bounded(3, "700,000 executions without a bound");
    check("a_job_that_was_handed_over_runs_or_its_caller_is_told", search, || {
        let (vm, owner) = counter();
        let ran = Arc::new(AtomicUsize::new(0));
        let (runs, handle) = (ran.clone(), vm.clone());
        let caller = thread::spawn(move || vm.call("next", move |_| runs.fetch_add(1, Ordering::Relaxed)));
        let closer = thread::spawn(move || handle.close_now());
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

/// Whoever has closed an owner is refused, though the owner still looks.
#[test]
fn nothing_comes_through_the_hatch_of_a_closed_owner() {
    check("nothing_comes_through_the_hatch_of_a_closed_owner", Search::Exhaustive, || {
        let (vm, owner) = counter();
        let closer = thread::spawn(move || {
            vm.close();
            assert!(matches!(vm.call("next", next), Err(CallError::Closed(_))), "it came after the close");
        });
        owner.run();
        closer.join().unwrap();
    });
}

#[test]
fn an_owner_that_is_closed_with_its_hatch_open_takes_what_comes() {
    let test = "hatch::nothing_comes_through_the_hatch_of_a_closed_owner";
    twin("close-ajar", test, "it came after the close");
}

/// A caller whose time is up leaves an empty husk in the hatch, and its job is dropped once.
#[test]
fn a_job_that_was_handed_over_is_the_owners_or_the_callers() {
    let search = Search::Bounded(3, "200,000 executions without a bound");
    check("a_job_that_was_handed_over_is_the_owners_or_the_callers", search, || {
        let (vm, owner) = counter();
        let held = Arc::new(());
        let count = Arc::downgrade(&held);
        let caller = thread::spawn(move || {
            let answer = vm.call_timeout("job", Duration::ZERO, move |_| Arc::strong_count(&held));
            vm.close();
            answer
        });
        owner.run();
        let answer = caller.join().unwrap();
        assert!(matches!(answer, Ok(1) | Err(CallError::TimedOut { .. })), "{answer:?}");
        assert_eq!(count.strong_count(), 0, "a job is left");
    });
}

#[test]
fn a_job_handed_over_has_what_the_owner_runs_although_its_caller_takes_it_back() {
    let test = "hatch::a_job_that_was_handed_over_is_the_owners_or_the_callers";
    twin("leave-with-job", test, "Causality violation");
}

#[test]
fn a_mailbox_that_accepts_after_it_closed_leaves_a_caller_behind_who_came_by_the_queue() {
    let test = "hatch::a_job_that_was_handed_over_runs_or_its_caller_is_told";
    twin("accept-after-close", test, "deadlock;");
}
