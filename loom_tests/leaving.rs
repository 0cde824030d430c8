//! Waits that end without what was waited for: a caller that leaves, a run that is cancelled.
//!
//! loom has no clock: a timed wait is over as soon as its waiter finds nothing.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use impasse::sync::Mutex;
use impasse::{CallError, Handle, Owner, OwnerLoop, RunError, Session, WaitError};
use loom::thread;

use crate::gate::Gates;
use crate::ghost::{self, Lock};
use crate::runner::{Search, check, reports, twin};

type Count = Rc<Cell<usize>>;

fn counter() -> (Handle<Count>, OwnerLoop<Count>) {
    reports::reset();
    Owner::builder("vm").attach(Count::default())
}

/// Counts how often it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A caller whose time is up while the owner takes its job: the job is the one's or the other's. It runs and is
/// answered, or runs and its result is dropped, or does not run; and it is dropped once.
#[test]
fn a_job_whose_caller_leaves_is_the_owners_or_the_callers() {
    check("a_job_whose_caller_leaves_is_the_owners_or_the_callers", Search::Exhaustive, || {
        let (vm, owner) = counter();
        let (ran, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (runs, held) = (ran.clone(), Dropped(dropped.clone()));
        let caller = thread::spawn(move || {
            let job = move |_: &Count| {
                let _held = held;
                runs.fetch_add(1, Ordering::Relaxed)
            };
            let answer = vm.call_timeout("job", Duration::ZERO, job);
            vm.close();
            answer
        });
        owner.run();
        let answer = caller.join().unwrap();
        let ran = ran.load(Ordering::Relaxed);
        assert!(matches!(answer, Ok(0) | Err(CallError::TimedOut { .. })), "{answer:?}");
        assert!(ran <= 1 && (answer.is_err() || ran == 1), "{answer:?}, and it ran {ran} times");
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "a job is dropped once");
    });
}

#[test]
fn a_caller_that_takes_a_begun_job_back_has_what_the_owner_runs() {
    let test = "leaving::a_job_whose_caller_leaves_is_the_owners_or_the_callers";
    twin("leave-with-job", test, "Causality violation");
}

/// A run that waits for a call which nobody serves is cancelled from outside: it ends, and its result says so.
#[test]
fn a_cancelled_run_leaves_its_call() {
    check("a_cancelled_run_leaves_its_call", Search::Exhaustive, || {
        let (vm, owner) = counter();
        let session = Session::builder("s", &vm).engine(|run, ()| run.call("never", |_| ()));
        let run = session.start(()).unwrap();
        assert!(run.cancel(), "it cannot have answered: the owner does not run yet");
        let result = run.wait();
        assert!(matches!(result, Err(RunError::Cancelled(_))), "{result:?}");
        vm.close();
        owner.run();
    });
}

#[test]
fn a_cancel_that_wakes_nobody_leaves_the_run_waiting() {
    twin("cancel-wakes-nobody", "leaving::a_cancelled_run_leaves_its_call", "deadlock;");
}

/// A cancel against the answer of the run: one of the two is first, and both sides agree which.
#[test]
fn a_run_is_cancelled_or_has_answered() {
    check("a_run_is_cancelled_or_has_answered", Search::Exhaustive, || {
        let (vm, owner) = counter();
        let session = Session::builder("s", &vm).engine(|_, ()| Ok::<_, CallError>(7));
        let run = session.start(()).unwrap();
        let cancelled = run.cancel();
        match run.wait() {
            Ok(7) => assert!(!cancelled, "cancelled, and it answers"),
            Err(RunError::Cancelled(_)) => assert!(cancelled, "it was too late to cancel"),
            other => panic!("{other:?}"),
        }
        vm.close();
        owner.run();
    });
}

#[test]
fn a_run_that_answers_after_all_was_not_cancelled() {
    twin("answer-after-cancel", "leaving::a_run_is_cancelled_or_has_answered", "cancelled, and it answers");
}

/// A run is cancelled while it waits for a lock, with another task behind it in line: the other gets the lock.
#[test]
fn whoever_stands_behind_a_cancelled_waiter_gets_the_lock() {
    const WHY: Search = Search::Bounded(2, "three tasks and a line: the whole takes hours");
    check("whoever_stands_behind_a_cancelled_waiter_gets_the_lock", WHY, || {
        let (vm, owner) = counter();
        let lock = Arc::new(Mutex::named("lock", ()));
        let held = lock.lock();
        let wanted = lock.clone();
        let engine = move |_: &impasse::Run<Count>, ()| wanted.checked_lock().map(drop);
        let session = Session::builder("s", &vm).engine::<_, _, WaitError>(engine);
        let run = session.start(()).unwrap();
        let behind = lock.clone();
        let other = thread::spawn(move || assert!(behind.checked_lock().is_ok()));
        run.cancel();
        drop(held);
        other.join().unwrap();
        let result = run.wait();
        assert!(matches!(result, Err(RunError::Cancelled(_))), "{result:?}");
        vm.close();
        owner.run();
    });
}

#[test]
fn a_cancelled_waiter_that_stays_in_line_is_given_the_lock() {
    let test = "leaving::whoever_stands_behind_a_cancelled_waiter_gets_the_lock";
    twin("stays-in-line", test, "deadlock;");
}

/// Whoever cancels a run and then wants what that run holds is no victim, although the run waits for it: its wait ends by
/// itself.
#[test]
fn a_cancelled_waiter_is_in_nobodys_way() {
    const WHY: Search = Search::Bounded(3, "over 1,500,000 executions without a bound");
    check("a_cancelled_waiter_is_in_nobodys_way", WHY, || {
        let mut gates = Gates::new();
        let (vm, owner) = counter();
        let (a, b) = (Arc::new(Lock::named("a")), Arc::new(Lock::named("b")));
        let (gate, has, wants) = (std::sync::Mutex::new(gates.gate()), a.clone(), b.clone());
        let engine = move |_: &impasse::Run<Count>, ()| {
            let me = ghost::me();
            let _held = has.take(&me)?;
            gate.lock().unwrap().pass();
            wants.take(&me).map(drop)
        };
        let session = Session::builder("s", &vm).engine::<_, _, WaitError>(engine);
        let run = session.start(()).unwrap();
        ghost::task("cancels", |me| {
            let held = b.take(me).unwrap();
            gates.open();
            run.cancel();
            ghost::named("run #1 of `s`").is_called_off();
            let taken = a.take(me).map(drop);
            assert_eq!(taken, Ok(()), "refused for a wait that ends by itself");
            drop(held);
        });
        let result = run.wait();
        assert!(matches!(result, Err(RunError::Cancelled(_))), "{result:?}");
        assert_eq!(reports::count(), 0);
        vm.close();
        owner.run();
    });
}

#[test]
fn a_verdict_that_rests_on_a_cancelled_wait_is_false() {
    twin("cancelled-counts", "leaving::a_cancelled_waiter_is_in_nobodys_way", "a false report");
}
