//! An owner that has nothing to do, and how much it has, on real threads.
#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{sync::mpsc, thread};

use common::{busy, until, until_waited_for, within_a_minute};
use impasse::{Handle, Owner, Shutdown, WaitError, WaitOnOwner};

#[test]
fn an_owner_that_has_had_no_job_is_idle_at_once() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| ()).unwrap();
        assert_eq!(owner.handle().wait_idle(), Ok(()));
        let (vm, _never_run) = Owner::builder("attached").attach(());
        assert_eq!(vm.wait_idle(), Ok(()));
    });
}

/// Several who wait are all woken, and none before the last job has run.
#[test]
fn wait_idle_waits_for_the_job_that_runs_and_for_those_that_are_queued() {
    within_a_minute(|| {
        let owner = Owner::builder("occupied").spawn(|| ()).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let ran = ran.clone();
            vm.post("count", move |()| _ = ran.fetch_add(1, Ordering::SeqCst)).unwrap();
        }
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let (vm, ran) = (vm.clone(), ran.clone());
                thread::spawn(move || {
                    vm.wait_idle().unwrap();
                    ran.load(Ordering::SeqCst)
                })
            })
            .collect();
        let is_waited_for = || {
            let waiting = impasse::waiting_tasks();
            waiting.iter().filter(|task| task.waits_for == "owner `occupied` to have nothing to do").count()
        };
        until(|| is_waited_for() == 3);
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()), "idle in the middle of a job");
        drop(held);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), 100);
        }
    });
}

#[test]
fn wait_idle_waits_for_the_call_that_runs() {
    within_a_minute(|| {
        let owner = Owner::builder("called").spawn(|| ()).unwrap();
        let vm = owner.handle();
        let ended = Arc::new(AtomicUsize::new(0));
        let (says, caller) = (ended.clone(), vm.clone());
        let (begun, has_begun) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let caller = thread::spawn(move || {
            caller.call("active", move |()| {
                begun.send(()).unwrap();
                wait.recv().unwrap();
                says.store(1, Ordering::SeqCst);
            })
        });
        has_begun.recv().unwrap();
        let waiter = {
            let (vm, ended) = (vm.clone(), ended.clone());
            thread::spawn(move || {
                vm.wait_idle().unwrap();
                ended.load(Ordering::SeqCst)
            })
        };
        until_waited_for("owner `called` to have nothing to do");
        go.send(()).unwrap();
        assert_eq!(waiter.join().unwrap(), 1, "idle before the call had run");
        caller.join().unwrap().unwrap();
    });
}

#[test]
fn wait_idle_waits_for_what_jobs_post() {
    fn chain(vm: &Handle<()>, ran: &Arc<AtomicUsize>, more: usize) {
        let (next, count) = (vm.clone(), ran.clone());
        vm.post("link", move |()| {
            if more > 0 {
                chain(&next, &count, more - 1);
            }
            count.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
    }
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| ()).unwrap();
        for _ in 0..100 {
            let ran = Arc::new(AtomicUsize::new(0));
            chain(&owner.handle(), &ran, 9);
            owner.handle().wait_idle().unwrap();
            assert_eq!(ran.load(Ordering::SeqCst), 10);
        }
    });
}

#[test]
fn wait_idle_by_a_job_of_the_owner_is_a_deadlock_of_one_hop() {
    for policy in WaitOnOwner::ALL {
        within_a_minute(move || {
            let owner = Owner::builder("vm").wait_on_owner(policy).spawn(|| ()).unwrap();
            let inside = owner.handle();
            let refused = owner.handle().call("job", move |()| inside.wait_idle()).unwrap();
            let Err(WaitError::Deadlock(deadlock)) = refused else { panic!("{policy:?}: {refused:?}") };
            let [hop] = deadlock.hops() else { panic!("{deadlock}") };
            assert_eq!((&*hop.task, &*hop.held_by), ("owner `vm`", "owner `vm`"));
            assert_eq!(owner.handle().wait_idle(), Ok(()), "the owner is as it was");
        });
    }
}

/// The job waits for a thread that waits until the owner is idle.
#[test]
fn wait_idle_by_somebody_the_owner_waits_for_is_a_deadlock() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).unwrap();
        let vm = owner.handle();
        let results = owner.handle().call("job", move |()| {
            let helper = impasse::thread::spawn_named("helper", move || vm.wait_idle()).unwrap();
            helper.checked_join()
        });
        // Whichever of the two waits comes last is refused.
        let results = results.unwrap();
        assert!(
            matches!(results, Err(WaitError::Deadlock(_)) | Ok(Err(WaitError::Deadlock(_)))),
            "{results:?}"
        );
        owner.handle().wait_idle().unwrap();
    });
}

#[test]
fn an_owner_that_ends_or_has_ended_is_idle() {
    within_a_minute(|| {
        for how in [Shutdown::Drain, Shutdown::Now] {
            let owner = Owner::builder("ending").spawn(|| ()).unwrap();
            let vm = owner.handle();
            let held = busy(&vm);
            let waits = {
                let vm = vm.clone();
                thread::spawn(move || vm.wait_idle())
            };
            until_waited_for("owner `ending` to have nothing to do");
            vm.close();
            drop(held);
            owner.shutdown(how).unwrap();
            assert_eq!(waits.join().unwrap(), Ok(()));
            assert_eq!(vm.wait_idle(), Ok(()));
        }
    });
}

#[test]
fn the_length_is_that_of_what_is_accepted_and_not_begun() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| ()).unwrap();
        let vm = owner.handle();
        assert!(vm.is_empty());
        let held = busy(&vm);
        assert_eq!((vm.len(), vm.is_empty()), (0, true), "the one that runs has begun");
        let inside = vm.clone();
        let (told, seen) = mpsc::channel();
        for _ in 0..3 {
            let (inside, told) = (inside.clone(), told.clone());
            vm.post("look", move |()| told.send(inside.len()).unwrap()).unwrap();
        }
        assert_eq!((vm.len(), vm.is_empty()), (3, false));
        drop((held, told));
        // All three are in the owner's batch by now, and count until they begin.
        assert_eq!(seen.iter().collect::<Vec<_>>(), [2, 1, 0]);
        vm.wait_idle().unwrap();
        assert!(vm.is_empty());
    });
}
