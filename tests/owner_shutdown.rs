//! How an owner ends, and what becomes of what it accepted, on real threads.
#![cfg(not(loom))]

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use common::{Notice, busy, until, until_waited_for, within_a_minute};
use impasse::{
    CallError, Handle, Owner, PostError, Run, RunError, Session, Shutdown, ShutdownError, Unrun, WaitOnOwner,
};

type Told = Arc<Mutex<Vec<(&'static str, Unrun)>>>;

/// An owner that tells which of its posts do not run.
fn telling(name: &str, policy: WaitOnOwner) -> (Owner<()>, Told) {
    let told = Told::default();
    let tell = told.clone();
    let builder = Owner::builder(name).wait_on_owner(policy);
    let owner = builder.on_unrun(move |op, why| tell.lock().unwrap().push((op.label, why))).spawn(|| ());
    (owner.unwrap(), told)
}

fn caller(owner: &Handle<()>) -> thread::JoinHandle<Result<u32, CallError>> {
    let owner = owner.clone();
    thread::spawn(move || owner.call("queued call", |()| 42))
}

#[test]
fn drain_runs_everything_that_was_accepted() {
    within_a_minute(|| {
        let (owner, told) = telling("vm", WaitOnOwner::Reject);
        let vm = owner.handle();
        let held = busy(&vm);
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..10 {
            let ran = ran.clone();
            vm.post("queued post", move |()| _ = ran.fetch_add(1, Ordering::SeqCst)).unwrap();
        }
        let caller = caller(&vm);
        until(|| vm.len() == 11);
        vm.close();
        assert!(matches!(vm.post("late", |()| ()), Err(PostError::Closed(_))));
        drop(held);
        owner.shutdown(Shutdown::Drain).unwrap();
        assert_eq!(caller.join().unwrap(), Ok(42));
        assert_eq!(ran.load(Ordering::SeqCst), 10);
        assert_eq!(*told.lock().unwrap(), []);
    });
}

/// Both what is in the queue and what the owner has taken in a batch.
#[test]
fn now_finishes_the_job_that_runs_and_refuses_all_others() {
    within_a_minute(|| {
        let (owner, told) = telling("vm", WaitOnOwner::Reject);
        let vm = owner.handle();
        let held = busy(&vm);
        let (begun, has_begun) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let finished = Arc::new(AtomicBool::new(false));
        let says = finished.clone();
        vm.post("running", move |()| {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            says.store(true, Ordering::SeqCst);
        })
        .unwrap();
        vm.post("in the batch", |()| unreachable!("it was refused")).unwrap();
        let in_the_batch = caller(&vm);
        until(|| vm.len() == 3);
        drop(held);
        has_begun.recv().unwrap();
        vm.post("in the queue", |()| unreachable!("it was refused")).unwrap();
        let in_the_queue = caller(&vm);
        until(|| vm.len() == 4);
        vm.close_now();
        assert!(
            matches!(in_the_queue.join().unwrap(), Err(CallError::Closed(_))),
            "told before the job is over"
        );
        assert!(!finished.load(Ordering::SeqCst));
        go.send(()).unwrap();
        owner.shutdown(Shutdown::Now).unwrap();
        assert!(finished.load(Ordering::SeqCst));
        assert!(matches!(in_the_batch.join().unwrap(), Err(CallError::Closed(_))));
        let mut told = told.lock().unwrap().clone();
        told.sort_unstable_by_key(|(label, _)| *label);
        assert_eq!(told, [("in the batch", Unrun::Closed), ("in the queue", Unrun::Closed)]);
    });
}

#[test]
fn a_shutdown_can_be_asked_for_by_many_and_often() {
    within_a_minute(|| {
        for hows in [[Shutdown::Drain; 2], [Shutdown::Drain, Shutdown::Now], [Shutdown::Now; 2]] {
            let (owner, _) = telling("shared", WaitOnOwner::Reject);
            let owner = Arc::new(owner);
            let vm = owner.handle();
            let held = busy(&vm);
            let threads = hows.map(|how| {
                let owner = owner.clone();
                thread::spawn(move || owner.shutdown(how))
            });
            let waiting = || impasse::waiting_tasks();
            until(|| {
                waiting().iter().filter(|task| task.waits_for == "the end of owner `shared`").count() == 2
            });
            assert!(threads.iter().all(|thread| !thread.is_finished()), "the owner has not ended");
            drop(held);
            for thread in threads {
                assert_eq!(thread.join().unwrap(), Ok(()));
            }
            assert_eq!(owner.shutdown(Shutdown::Now), Ok(()), "and once more when it is over");
            assert_eq!(owner.shutdown(Shutdown::Drain), Ok(()));
        }
    });
}

#[test]
fn of_two_shutdowns_the_stricter_counts() {
    within_a_minute(|| {
        let (owner, told) = telling("vm", WaitOnOwner::Reject);
        let vm = owner.handle();
        let held = busy(&vm);
        vm.post("queued", |()| unreachable!("it was refused")).unwrap();
        vm.close();
        vm.close_now();
        vm.close();
        drop(held);
        owner.shutdown(Shutdown::Drain).unwrap();
        assert_eq!(*told.lock().unwrap(), [("queued", Unrun::Closed)]);
    });
}

/// S7.
#[test]
fn a_shutdown_by_a_job_of_the_owner_is_an_error_and_the_owner_ends_by_itself() {
    for how in [Shutdown::Drain, Shutdown::Now] {
        within_a_minute(move || {
            let (owner, _) = telling("vm", WaitOnOwner::Serve);
            let owner = Arc::new(owner);
            let vm = owner.handle();
            let inside = owner.clone();
            let refused = vm.call("job", move |()| inside.shutdown(how)).unwrap();
            assert!(
                matches!(&refused, Err(ShutdownError::OnOwner { owner, .. }) if &**owner == "vm"),
                "{refused:?}"
            );
            assert!(vm.is_closed());
            assert_eq!(owner.shutdown(how), Ok(()), "from elsewhere it is waited for");
        });
    }
}

#[test]
fn an_owner_dropped_by_its_own_job_runs_what_it_accepted_and_ends() {
    struct State(#[expect(dead_code, reason = "tells when it is dropped")] Notice);
    within_a_minute(|| {
        let (notice, is_dropped) = Notice::new();
        let owner = Owner::builder("vm").spawn(move || State(notice)).unwrap();
        let vm = owner.handle();
        let ran = Arc::new(AtomicUsize::new(0));
        let (says, inside) = (ran.clone(), vm.clone());
        let on = vm.call("drop", move |_| {
            inside.post("accepted", move |_| _ = says.fetch_add(1, Ordering::SeqCst)).unwrap();
            drop(owner);
            assert!(inside.is_closed());
            thread::current().id()
        });
        assert_eq!(is_dropped.recv().ok(), on.ok(), "the state is dropped where it was used");
        assert_eq!(ran.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_shutdown_by_somebody_the_owner_waits_for_is_a_deadlock_and_closes_it() {
    within_a_minute(|| {
        let (owner, _) = telling("vm", WaitOnOwner::Detect);
        let vm = owner.handle();
        let refused = vm.call("job", move |()| {
            let helper =
                impasse::thread::spawn_named("helper", move || owner.shutdown(Shutdown::Drain)).unwrap();
            until_waited_for("the end of owner `vm`");
            helper.checked_join()
        });
        // A wait can be seen before it has looked itself: whichever looks when both can be seen is refused.
        let is_one_victim = match &refused {
            Ok(Err(joined)) => matches!(joined, impasse::WaitError::Deadlock(_)),
            Ok(Ok(ended)) => matches!(ended, Err(ShutdownError::Deadlock(_))),
            Err(_) => false,
        };
        assert!(is_one_victim, "{refused:?}");
        assert!(vm.is_closed());
    });
}

/// Rule 6 of `Serve`: a shutdown while the owner serves.
#[test]
fn drain_goes_on_serving_and_now_does_not() {
    for how in [Shutdown::Drain, Shutdown::Now] {
        within_a_minute(move || {
            let (owner, told) = telling("vm", WaitOnOwner::Serve);
            let vm = owner.handle();
            let (go, wait) = mpsc::channel::<()>();
            let (go, wait) = (go, Mutex::new(wait));
            let (posted, is_posted) = mpsc::channel();
            let ran = Arc::new(AtomicUsize::new(0));
            let count = ran.clone();
            let session = Session::builder("s", &vm).engine(move |run: &Run<()>, ()| {
                wait.lock().unwrap().recv().unwrap();
                let count = count.clone();
                let sent = run.post("of the run", move |()| _ = count.fetch_add(1, Ordering::SeqCst));
                posted.send(()).unwrap();
                wait.lock().unwrap().recv().unwrap();
                sent.map(drop)
            });
            let run = session.start(()).unwrap();
            let held = busy(&vm);
            let inside = vm.clone();
            let (told_end, end) = mpsc::channel();
            vm.post("eval", move |()| {
                match how {
                    Shutdown::Now => inside.close_now(),
                    _ => inside.close(),
                }
                told_end.send(run.wait()).unwrap();
            })
            .unwrap();
            // In the batch, behind the job that will wait.
            go.send(()).unwrap();
            is_posted.recv().unwrap();
            drop(held);
            until_waited_for("run #1 of session `s`");
            if how == Shutdown::Drain {
                until(|| ran.load(Ordering::SeqCst) == 1);
            }
            go.send(()).unwrap();
            assert!(matches!(end.recv().unwrap(), Err(RunError::Closed(_))), "the run was cancelled");
            owner.shutdown(how).unwrap();
            let expected =
                if how == Shutdown::Drain { (1, vec![]) } else { (0, vec![("of the run", Unrun::Closed)]) };
            assert_eq!((ran.load(Ordering::SeqCst), told.lock().unwrap().clone()), expected, "{how:?}");
        });
    }
}

/// The state is dropped once, whoever is the last to let go.
#[test]
fn handles_do_not_keep_an_owner_alive() {
    within_a_minute(|| {
        let (notice, is_dropped) = Notice::new();
        let owner = Owner::builder("vm").spawn(move || RefCell::new(notice)).unwrap();
        let vm = owner.handle();
        drop(owner);
        is_dropped.try_recv().expect("dropping an owner waits for its end");
        assert!(vm.is_closed());
        assert!(is_dropped.try_recv().is_err());
    });
}
