//! Cancelling a run ends every wait on its behalf, and its result says so, once, on real threads.
#![cfg(not(loom))]

mod common;

use std::sync::{Arc, Barrier, Mutex as StdMutex, mpsc};
use std::thread;

use common::{Busy, busy, until, until_waits, within_a_minute};
use impasse::sync::{Condvar, Mutex, Queue};
use impasse::{Cancelled, Handle, Owner, Run, RunError, Session, Shutdown, WaitError};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn owner() -> Owner<()> {
    Owner::builder("vm").spawn(|| ()).unwrap()
}

/// The run of this session waits by `wait`, which nothing else ends; it is cancelled while `waiter` waits.
fn reaches(
    name: &'static str,
    waiter: &'static str,
    wait: impl Fn(&Run<()>) -> Result<(), BoxError> + Send + Sync + 'static,
) {
    within_a_minute(move || {
        let owner = owner();
        let (ended, end) = mpsc::channel();
        let session = Session::builder(name, &owner.handle()).engine(move |run: &Run<()>, ()| {
            let waited = wait(run);
            ended.send((waited.as_ref().map_err(ToString::to_string).copied(), run.is_cancelled())).unwrap();
            waited
        });
        let run = session.start(()).unwrap();
        until_waits(waiter);
        assert!(run.cancel());
        let why = format!("run #1 of `{name}` was cancelled");
        assert_eq!(end.recv().unwrap(), (Err(why.clone()), true), "what the wait returned");
        let result = run.wait();
        assert!(
            matches!(&result, Err(RunError::Cancelled(cancelled)) if cancelled.to_string() == why),
            "{result:?}"
        );
    });
}

/// An owner that is in a job for as long as this lives.
fn occupied(capacity: usize) -> (Owner<()>, Handle<()>, Busy) {
    let owner = Owner::builder("occupied").capacity(capacity).spawn(|| ()).unwrap();
    let (handle, held) = (owner.handle(), busy(&owner.handle()));
    (owner, handle, held)
}

#[test]
fn a_call_is_reached() {
    let (owner, handle, held) = occupied(1);
    reaches("calls", "run #1 of `calls`", move |_| {
        Ok(handle.call("call", |()| unreachable!("it was taken back"))?)
    });
    drop(held);
    drop(owner);
}

#[test]
fn a_wait_for_room_is_reached() {
    let (owner, handle, held) = occupied(1);
    handle.post("fills", |()| ()).unwrap();
    reaches("posts", "run #1 of `posts`", move |_| {
        Ok(handle.post_wait("post", |()| unreachable!("it was taken back"))?)
    });
    drop(held);
    drop(owner);
}

#[test]
fn a_wait_until_an_owner_is_idle_is_reached() {
    let (owner, handle, held) = occupied(1);
    reaches("idles", "run #1 of `idles`", move |_| Ok(handle.wait_idle()?));
    drop(held);
    drop(owner);
}

#[test]
fn a_shutdown_is_reached() {
    let (owner, _, held) = occupied(1);
    let owner = Arc::new(owner);
    let ends = owner.clone();
    reaches("shuts down", "run #1 of `shuts down`", move |_| Ok(ends.shutdown(Shutdown::Drain)?));
    drop(held);
    assert_eq!(owner.shutdown(Shutdown::Drain), Ok(()), "it was closed all the same");
}

#[test]
fn a_lock_is_reached() {
    let lock = Arc::new(Mutex::new(()));
    let wanted = lock.clone();
    let held = lock.lock();
    reaches("locks", "run #1 of `locks`", move |_| Ok(wanted.checked_lock().map(drop)?));
    drop(held);
    assert!(lock.try_lock().is_some());
}

#[test]
fn a_condvar_is_reached_and_the_lock_is_free_then() {
    let pair = Arc::new((Mutex::new(()), Condvar::new()));
    let waits = pair.clone();
    reaches("condvar", "run #1 of `condvar`", move |_| {
        Ok(waits.1.checked_wait(waits.0.checked_lock()?).map(drop)?)
    });
    assert!(pair.0.try_lock().is_some());
}

#[test]
fn a_pop_is_reached_and_takes_no_item() {
    let queue = Arc::new(Queue::new());
    let pops = queue.clone();
    reaches("pops", "run #1 of `pops`", move |_| Ok(pops.pop()?));
    queue.push(());
    assert_eq!(queue.try_pop(), Some(()));
}

#[test]
fn a_join_is_reached() {
    reaches("joins", "run #1 of `joins`", |_| {
        let (_go, wait) = mpsc::channel::<()>();
        let thread = impasse::thread::spawn_named("joined", move || _ = wait.recv())?;
        Ok(thread.checked_join()?)
    });
}

#[test]
fn a_thread_of_the_run_is_reached() {
    let lock = Arc::new(Mutex::new(()));
    let wanted = lock.clone();
    let held = lock.lock();
    reaches("has a helper", "thread `helper of the run`", move |_| {
        let wanted = wanted.clone();
        let (told, tells) = mpsc::channel();
        // Waited for by what is not seen: only the helper's own wait can end.
        impasse::thread::spawn_named("helper of the run", move || {
            told.send(wanted.checked_lock().map(drop))
        })?;
        Ok(tells.recv()??)
    });
    drop(held);
}

#[test]
fn a_nested_run_is_reached() {
    let inner_owner = owner();
    let never = Queue::<()>::new();
    let inner = Session::builder("inner", &inner_owner.handle()).engine(move |_: &Run<()>, ()| never.pop());
    let (told, tells) = mpsc::channel();
    let told = StdMutex::new(told);
    reaches("outer", "run #1 of `inner`", move |_| {
        let run = inner.start(())?;
        let nested = run.wait();
        // The wait of the outer run is over; the inner one is cancelled too, and ends by itself.
        until(|| inner.active().is_none());
        told.lock().unwrap().send(()).unwrap();
        match nested {
            Err(RunError::Cancelled(cancelled)) => Err(Box::new(outer_of(cancelled))),
            other => panic!("{other:?}"),
        }
    });
    tells.recv().unwrap();
}

/// Either run may be named: the wait for the inner one was refused, or it has ended as cancelled.
fn outer_of(cancelled: Cancelled) -> Outer {
    assert!(
        ["run #1 of `outer` was cancelled", "run #1 of `inner` was cancelled"]
            .contains(&&*cancelled.to_string())
    );
    Outer
}

#[derive(Debug, thiserror::Error)]
#[error("run #1 of `outer` was cancelled")]
struct Outer;

#[test]
fn a_cancelled_part_does_not_cancel_the_whole() {
    within_a_minute(|| {
        let owner = owner();
        let never = Queue::<()>::new();
        let part = Session::builder("part", &owner.handle()).engine(move |_: &Run<()>, ()| never.pop());
        let whole = Session::builder("whole", &owner.handle()).engine(move |run: &Run<()>, ()| {
            let part = part.start(())?;
            assert!(part.cancel());
            assert!(matches!(part.wait(), Err(RunError::Cancelled(_))));
            assert!(!run.is_cancelled());
            Ok::<_, BoxError>(run.call("goes on", |()| 42)?)
        });
        assert_eq!(whole.run(()).unwrap(), 42);
    });
}

#[test]
fn other_runs_are_left_alone() {
    within_a_minute(|| {
        let owner = owner();
        let queue = Arc::new(Queue::new());
        let pops = queue.clone();
        let session =
            Session::builder("many", &owner.handle()).concurrent().engine(move |_: &Run<()>, ()| pops.pop());
        let runs = [(); 3].map(|()| session.start(()).unwrap());
        (1..=3).for_each(|id| until_waits(&format!("run #{id} of `many`")));
        assert!(runs[1].cancel());
        until(|| !runs[1].is_running());
        assert!(runs[0].is_running() && runs[2].is_running());
        queue.push(42);
        queue.push(42);
        let results = runs.map(|run| run.wait());
        assert!(matches!(&results, [Ok(42), Err(RunError::Cancelled(_)), Ok(42)]), "{results:?}");
    });
}

/// The wait begins after the run was cancelled.
#[test]
fn a_wait_on_behalf_of_a_cancelled_run_is_refused_at_the_door() {
    within_a_minute(|| {
        let owner = owner();
        let (seen, sees) = mpsc::channel();
        let session = Session::builder("s", &owner.handle()).engine(move |run: &Run<()>, ()| {
            until(|| run.is_cancelled());
            let called = run.call("refused", |()| unreachable!("it was not queued"));
            seen.send(matches!(called, Err(impasse::CallError::Cancelled(_)))).unwrap();
            run.post("posted", |()| ())
        });
        let run = session.start(()).unwrap();
        assert!(run.cancel());
        assert!(matches!(run.wait(), Err(RunError::Cancelled(_))));
        assert!(sees.recv().unwrap());
    });
}

#[test]
fn the_answer_of_a_cancelled_run_does_not_count() {
    within_a_minute(|| {
        let owner = owner();
        let session = Session::builder("s", &owner.handle()).engine(move |run: &Run<()>, ()| {
            until(|| run.is_cancelled());
            Ok::<_, WaitError>("an answer all the same")
        });
        let run = session.start(()).unwrap();
        let canceller = run.canceller();
        assert!(canceller.clone().cancel());
        let result = run.wait();
        assert!(matches!(&result, Err(RunError::Cancelled(_))), "{result:?}");
        assert!(canceller.cancel(), "it is cancelled, however often one asks");
    });
}

#[test]
fn a_run_can_be_cancelled_by_a_job_of_its_owner() {
    within_a_minute(|| {
        let owner = owner();
        let never = Queue::<()>::new();
        let session =
            Session::builder("on the owner", &owner.handle()).engine(move |_: &Run<()>, ()| never.pop());
        let run = session.start(()).unwrap();
        let canceller = run.canceller();
        until_waits("run #1 of `on the owner`");
        assert_eq!(owner.handle().call("cancel", move |()| canceller.cancel()), Ok(true));
        assert!(matches!(run.wait(), Err(RunError::Cancelled(_))));
    });
}

#[test]
fn after_the_end_it_is_too_late_to_cancel() {
    within_a_minute(|| {
        let owner = owner();
        let session = Session::builder("s", &owner.handle()).engine(|_: &Run<()>, ()| Ok::<_, WaitError>(42));
        let run = session.start(()).unwrap();
        until(|| !run.is_running());
        assert!(!run.cancel());
        assert!(!run.canceller().cancel());
        assert_eq!(run.wait().unwrap(), 42);
    });
}

/// The promise is rejected once, and iff the canceller is told so, whatever races.
#[test]
fn a_cancel_that_races_with_the_answer_settles_once_and_tells_how() {
    within_a_minute(|| {
        let owner = owner();
        let session = Session::builder("s", &owner.handle())
            .engine(|run: &Run<()>, calls: bool| if calls { run.call("answer", |()| 42) } else { Ok(42) });
        for round in 0..2000 {
            let run = session.start(round % 2 == 0).unwrap();
            let (canceller, at_once) = (run.canceller(), Arc::new(Barrier::new(2)));
            let also = at_once.clone();
            let (settled, settlements) = mpsc::channel();
            let cancels = thread::spawn(move || {
                also.wait();
                canceller.cancel()
            });
            at_once.wait();
            run.on_settled("settle", move |(), result| settled.send(result).unwrap()).unwrap();
            let is_cancelled = cancels.join().unwrap();
            let results: Vec<_> = settlements.iter().collect();
            match &results[..] {
                [Err(RunError::Cancelled(_))] => {
                    assert!(is_cancelled, "round {round}");
                }
                [Ok(42)] => assert!(!is_cancelled, "round {round}"),
                other => panic!("round {round}: {other:?}"),
            }
        }
    });
}
