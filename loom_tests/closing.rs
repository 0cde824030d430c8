//! Room, idleness and the end of an owner. The owner is the model's main thread.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use impasse::{CallError, Owner, Shutdown};
use loom::thread;

use crate::runner::{Search, check, reports, twin};

type Count = Rc<Cell<usize>>;

/// Two senders of two jobs, and room for one: every job runs, and nobody waits for ever.
#[test]
fn whoever_waits_for_room_gets_it() {
    const WHY: Search = Search::Bounded(3, "two senders that wait: the whole does not end in minutes");
    check("whoever_waits_for_room_gets_it", WHY, || {
        reports::reset();
        let (vm, owner) = Owner::builder("vm").capacity(1).attach(Count::default());
        let senders = [vm.clone(), vm].map(|vm| {
            thread::spawn(move || {
                let handle = vm.clone();
                let job = move |count: &Count| {
                    count.set(count.get() + 1);
                    if count.get() == 2 {
                        handle.close();
                    }
                };
                assert_eq!(vm.post_wait("job", job), Ok(()));
            })
        });
        owner.run();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(reports::count(), 0);
    });
}

#[test]
fn room_that_nobody_is_told_of_is_waited_for_until_the_owner_ends() {
    // Then they are refused, although their jobs have run.
    twin("room-for-nobody", "closing::whoever_waits_for_room_gets_it", "left: Err(Closed");
}

/// Whoever waits until the owner is idle finds that what it posted before has run.
#[test]
fn an_idle_owner_has_run_what_was_posted_before() {
    check("an_idle_owner_has_run_what_was_posted_before", Search::Exhaustive, || {
        reports::reset();
        let (vm, owner) = Owner::builder("vm").attach(());
        let ran = Arc::new(AtomicUsize::new(0));
        let runs = ran.clone();
        let other = thread::spawn(move || {
            let job = move |_: &()| {
                runs.fetch_add(1, Ordering::Relaxed);
            };
            vm.post("job", job).unwrap();
            vm.wait_idle().unwrap();
            assert_eq!(ran.load(Ordering::Relaxed), 1, "idle before it has run what was posted");
            vm.close();
        });
        owner.run();
        other.join().unwrap();
        assert_eq!(reports::count(), 0);
    });
}

#[test]
fn an_owner_that_a_job_does_not_wake_from_idleness_is_said_to_be_idle() {
    let test = "closing::an_idle_owner_has_run_what_was_posted_before";
    twin("stays-idle", test, "idle before it has run what was posted");
}

/// A call against a shutdown that lets nothing more run: it runs and is answered, or it does not run and its caller
/// is told.
#[test]
fn a_job_runs_or_its_caller_is_told_although_nothing_more_runs() {
    check("a_job_runs_or_its_caller_is_told_although_nothing_more_runs", Search::Exhaustive, || {
        reports::reset();
        let (vm, owner) = Owner::builder("vm").attach(());
        let ran = Arc::new(AtomicUsize::new(0));
        let (runs, handle) = (ran.clone(), vm.clone());
        let caller = thread::spawn(move || vm.call("job", move |()| runs.fetch_add(1, Ordering::Relaxed)));
        let closer = thread::spawn(move || handle.close_now());
        owner.run();
        closer.join().unwrap();
        let ran = ran.load(Ordering::Relaxed);
        match caller.join().unwrap() {
            Ok(before) => assert_eq!((before, ran), (0, 1)),
            Err(CallError::Closed(_)) => assert_eq!(ran, 0, "refused, and yet it ran"),
            Err(other) => panic!("{other}"),
        }
    });
}

#[test]
fn a_mailbox_that_accepts_after_nothing_runs_leaves_a_caller_behind() {
    let test = "closing::a_job_runs_or_its_caller_is_told_although_nothing_more_runs";
    twin("accept-after-close", test, "deadlock;");
}

/// Two tasks shut one owner down: both see its end.
#[test]
fn everybody_who_shuts_down_sees_the_end() {
    const WHY: Search = Search::Bounded(3, "three tasks: the whole does not end in minutes");
    check("everybody_who_shuts_down_sees_the_end", WHY, || {
        reports::reset();
        let owner = Arc::new(Owner::builder("vm").spawn(|| ()).unwrap());
        let same = owner.clone();
        let other = thread::spawn(move || same.shutdown(Shutdown::Drain));
        assert_eq!(owner.shutdown(Shutdown::Now), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        assert_eq!(reports::count(), 0);
    });
}

#[test]
fn an_end_that_one_is_told_of_is_missed_by_the_other() {
    let test = "closing::everybody_who_shuts_down_sees_the_end";
    twin("end-told-once", test, "the owner thread reports how it ended");
}
