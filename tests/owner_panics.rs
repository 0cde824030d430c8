//! Jobs that panic: what their callers learn, and what becomes of the owner, on real threads.
#![cfg(not(loom))]

mod common;

use std::backtrace::BacktraceStatus;
use std::cell::Cell;
use std::sync::{Arc, Mutex};

use common::{busy, within_a_minute};
use impasse::{AfterPanic, CallError, Handle, Owner, Panicked, PostError, Shutdown};

type Count = Cell<usize>;
type Seen = Arc<Mutex<Vec<(&'static str, String, usize)>>>;

const BROKE_AT: u32 = line!() + 3;
#[inline(never)]
fn breaks() {
    panic!("broke after {}", 7);
}

fn panic_of(owner: &Handle<Count>, job: fn()) -> Panicked {
    match owner.call("job", move |_| job()) {
        Err(CallError::Panicked(panicked)) => panicked,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_caller_learns_the_message_the_place_and_the_operation() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| Count::new(0)).unwrap();
        let panicked = panic_of(&owner.handle(), breaks);
        assert_eq!((panicked.op.label, &*panicked.message), ("job", "broke after 7"));
        assert_eq!(panicked.at, Some((file!().to_owned(), BROKE_AT)));
        assert_eq!(panicked.op.site().file, file!());
        assert_ne!(panicked.op.site().line, BROKE_AT, "who asked is not who panicked");
        let says = panicked.to_string();
        assert!(says.contains(&format!("panicked at {}:{BROKE_AT}: broke after 7", file!())), "{says}");
        let without = panic_of(&owner.handle(), || std::panic::panic_any(7));
        assert_eq!(without.message, "a panic without a message");
    });
}

#[test]
fn there_is_a_backtrace_only_if_it_was_asked_for() {
    within_a_minute(|| {
        let without = Owner::builder("vm").spawn(|| Count::new(0)).unwrap();
        assert!(panic_of(&without.handle(), breaks).backtrace().is_none());
        let with = Owner::builder("vm").backtraces().spawn(|| Count::new(0)).unwrap();
        let panicked = panic_of(&with.handle(), breaks);
        let backtrace = panicked.backtrace().expect("it was asked for");
        assert_eq!(backtrace.status(), BacktraceStatus::Captured);
        assert!(backtrace.to_string().contains("owner_panics::breaks"), "{backtrace}");
        let (inside, message) = (with.handle(), panicked.message);
        let inline = with.handle().call("outer", move |_| panic_of(&inside, breaks)).unwrap();
        assert!(inline.backtrace().is_some_and(|backtrace| backtrace.to_string().contains("breaks")));
        assert_eq!(inline.message, message);
        // And with the other owner nothing has changed.
        assert!(panic_of(&without.handle(), breaks).backtrace().is_none());
    });
}

/// An owner whose hook notes each panic with the state, and then decides so.
fn deciding(after: impl Fn(&Count) -> AfterPanic<Count> + Send + 'static) -> (Owner<Count>, Seen) {
    let seen = Seen::default();
    let notes = seen.clone();
    let owner = Owner::builder("vm")
        .on_panic(move |count: &Count, panicked: &Panicked| {
            notes.lock().unwrap().push((panicked.op.label, panicked.message.clone(), count.get()));
            after(count)
        })
        .spawn(|| Count::new(1));
    (owner.unwrap(), seen)
}

/// Changes the state and panics.
fn half_way(count: &Count) {
    count.set(count.get() + 10);
    panic!("half way");
}

#[test]
fn an_owner_goes_on_with_its_state_if_nothing_else_is_said() {
    within_a_minute(|| {
        let silent = Owner::builder("vm").spawn(|| Count::new(1)).unwrap();
        silent.handle().call("call", half_way).unwrap_err();
        silent.handle().post("post", half_way).unwrap();
        assert_eq!(silent.handle().call("look", Count::get), Ok(21));

        let (owner, seen) = deciding(|_| AfterPanic::Continue);
        owner.handle().call("call", half_way).unwrap_err();
        owner.handle().post("post", half_way).unwrap();
        assert_eq!(owner.handle().call("look", Count::get), Ok(21));
        let half_way = "half way".to_owned();
        assert_eq!(*seen.lock().unwrap(), [("call", half_way.clone(), 11), ("post", half_way, 21)]);
    });
}

#[test]
fn an_owner_can_go_on_with_another_state() {
    within_a_minute(|| {
        let (owner, seen) = deciding(|count| AfterPanic::Replace(Count::new(count.get() * 100)));
        owner.handle().call("call", half_way).unwrap_err();
        assert_eq!(owner.handle().call("look", Count::get), Ok(1100));
        assert_eq!(seen.lock().unwrap().len(), 1);
    });
}

#[test]
fn a_job_in_progress_keeps_the_state_it_has_when_another_takes_its_place() {
    within_a_minute(|| {
        let (owner, seen) = deciding(|_| AfterPanic::Replace(Count::new(500)));
        let inside = owner.handle();
        let looks = owner.handle().call("outer", move |count| {
            inside.call("inline", half_way).unwrap_err();
            (count.get(), inside.call("look", Count::get).unwrap())
        });
        assert_eq!(looks, Ok((11, 500)));
        assert_eq!(owner.handle().call("look", Count::get), Ok(500));
        assert_eq!(*seen.lock().unwrap(), [("inline", "half way".to_owned(), 11)], "the hook is told once");
    });
}

/// Whoever learns of the panic finds the decision still to come, so the jobs are queued before it is made.
fn closes_after_what_was_accepted(owner: &Owner<Count>) {
    let vm = owner.handle();
    let held = busy(&vm);
    vm.post("breaks", half_way).unwrap();
    vm.post("accepted", |count| count.set(count.get() + 1)).unwrap();
    let caller = {
        let vm = vm.clone();
        std::thread::spawn(move || vm.call("accepted", Count::get))
    };
    common::until(|| vm.len() == 3);
    drop(held);
    assert_eq!(caller.join().unwrap(), Ok(12), "what was accepted runs");
    assert!(vm.is_closed());
    assert!(matches!(vm.call("late", |_| ()), Err(CallError::Closed(_))));
    assert!(matches!(vm.post("late", |_| ()), Err(PostError::Closed(_))));
    assert_eq!(owner.shutdown(Shutdown::Drain), Ok(()));
}

#[test]
fn an_owner_can_close_after_a_panic() {
    within_a_minute(|| {
        let (owner, seen) = deciding(|_| AfterPanic::Close);
        closes_after_what_was_accepted(&owner);
        assert_eq!(seen.lock().unwrap().len(), 1);
    });
}

#[test]
fn a_hook_that_panics_closes_the_owner() {
    within_a_minute(|| {
        let (owner, seen) = deciding(|_| panic!("the hook broke"));
        closes_after_what_was_accepted(&owner);
        assert_eq!(seen.lock().unwrap().len(), 1);
    });
}

#[test]
fn a_panic_that_was_caught_by_the_job_is_its_own_matter() {
    within_a_minute(|| {
        let (owner, seen) = deciding(|_| AfterPanic::Close);
        let caught = owner.handle().call("job", |_| std::panic::catch_unwind(breaks).is_err());
        assert_eq!(caught, Ok(true));
        assert_eq!(owner.handle().call("look", Count::get), Ok(1));
        assert_eq!(*seen.lock().unwrap(), []);
    });
}

/// The place of one panic is not told of the next, which has none: what is resumed never meets the panic hook.
#[test]
fn a_panic_that_is_resumed_has_no_place_of_another() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| Count::new(0)).unwrap();
        owner.handle().call("catches", |_| std::panic::catch_unwind(breaks).is_err()).unwrap();
        let panicked = panic_of(&owner.handle(), || std::panic::resume_unwind(Box::new("resumed")));
        assert_eq!((&*panicked.message, panicked.at), ("resumed", None));
    });
}
