//! What a report says, and who gets it.

use std::sync::{Arc, Barrier, mpsc};

use crate::common::within_a_minute;
use impasse::sync::{Mutex, MutexGuard};
use impasse::{
    CallError, Deadlock, Owner, RunError, Session, Shutdown, SpawnError, WaitOnOwner, thread, waiting_tasks,
};

/// How often each cycle is closed, as simultaneously as threads can.
const TIMES: usize = 300;

/// Runs the actors at once and returns the reports of those that were refused.
fn at_once<const N: usize>(actors: [Box<dyn FnOnce() -> Result<(), Deadlock> + Send>; N]) -> Vec<Deadlock> {
    let start = Arc::new(Barrier::new(N));
    let threads = actors.map(|actor| {
        let start = start.clone();
        std::thread::spawn(move || {
            start.wait();
            actor()
        })
    });
    threads.into_iter().filter_map(|thread| thread.join().unwrap().err()).collect()
}

/// Each hop waits for the next, and the last for the first.
fn assert_closed(deadlock: &Deadlock) {
    let hops = deadlock.hops();
    for (hop, next) in hops.iter().zip(hops.iter().cycle().skip(1)) {
        assert_eq!(hop.held_by, next.task, "{deadlock}");
    }
}

/// The lock; nobody cancels anything here.
fn taken<T>(lock: &Mutex<T>) -> Result<MutexGuard<'_, T>, Deadlock> {
    lock.checked_lock().map_err(|error| error.deadlock().expect("nobody cancels"))
}

/// `N` tasks hold one lock each, all of them, and then take the next one's: always a cycle, one victim.
fn ring<const N: usize>() {
    within_a_minute(|| {
        for _ in 0..TIMES {
            let locks: Arc<[_; N]> = Arc::new(std::array::from_fn(|_| Mutex::new(())));
            let all_hold = Arc::new(Barrier::new(N));
            let victims = at_once::<N>(std::array::from_fn(|index| {
                let (locks, all_hold) = (locks.clone(), all_hold.clone());
                Box::new(move || {
                    let _mine = taken(&locks[index])?;
                    all_hold.wait();
                    taken(&locks[(index + 1) % N]).map(drop)
                }) as Box<dyn FnOnce() -> _ + Send>
            }));
            assert_eq!(victims.len(), 1, "{victims:?}");
            assert_eq!(victims[0].hops().len(), N);
            assert_closed(&victims[0]);
        }
    });
}

#[test]
fn crossed_locks() {
    ring::<2>();
}

#[test]
fn a_ring_of_three() {
    ring::<3>();
}

#[test]
fn a_ring_of_eight() {
    ring::<8>();
}

#[test]
fn a_lock_taken_twice() {
    within_a_minute(|| {
        let lock = Mutex::named("twice", ());
        let _held = lock.lock();
        let deadlock = taken(&lock).unwrap_err();
        assert_eq!(deadlock.hops().len(), 1);
        assert!(deadlock.to_string().starts_with("deadlock: a task waits for itself\n"), "{deadlock}");
        assert_closed(&deadlock);
    });
}

#[test]
fn a_join_while_holding_what_the_thread_wants() {
    within_a_minute(|| {
        for _ in 0..TIMES {
            let lock = Arc::new(Mutex::named("table", ()));
            let held = lock.lock();
            let wanted = lock.clone();
            let joined = thread::spawn_named("worker", move || taken(&wanted).map(drop)).unwrap();
            // One of the two waits closes the cycle, and the other one ends by that.
            let victim = match joined.checked_join() {
                Err(refused) => refused.deadlock().unwrap(),
                Ok(refused) => refused.unwrap_err(),
            };
            drop(held);
            assert_eq!(victim.hops().len(), 2);
            assert_closed(&victim);
        }
    });
}

#[test]
fn a_run_that_calls_the_owner_that_waits_for_it() {
    within_a_minute(|| {
        for _ in 0..TIMES {
            let owner = Owner::builder("vm").wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).unwrap();
            let session = Session::builder("inference", &owner.handle())
                .engine(|run, ()| run.call("middleware", |_| ()));
            let result = owner.handle().call("eval", move |_| session.run(())).unwrap();
            let Err(RunError::Deadlock(deadlock)) = result else { panic!("{result:?}") };
            assert_eq!(deadlock.hops().len(), 2);
            assert_closed(&deadlock);
        }
    });
}

/// S3: two owners call each other.
#[test]
fn two_owners_that_call_each_other() {
    within_a_minute(|| {
        for _ in 0..TIMES {
            let (a, b) = (
                Owner::builder("a").wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).unwrap(),
                Owner::builder("b").wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).unwrap(),
            );
            let (to_a, to_b) = (a.handle(), b.handle());
            let inner = to_a.clone();
            let result = to_a.call("a1", move |_| to_b.call("b1", move |_| inner.call("a2", |_| ())));
            let Ok(Ok(Err(CallError::Deadlock(deadlock)))) = result else { panic!("{result:?}") };
            assert_closed(&deadlock);
        }
    });
}

/// S5: a worker holds a lock and calls the owner; a job of the owner wants the lock.
#[test]
fn a_lock_and_a_call() {
    within_a_minute(|| {
        for _ in 0..TIMES {
            let owner = Owner::builder("vm").spawn(|| ()).unwrap();
            let vm = owner.handle();
            let lock = Arc::new(Mutex::named("table", ()));
            let (worker_lock, held) = (lock.clone(), Arc::new(Barrier::new(2)));
            let (is_held, inside) = (held.clone(), vm.clone());
            let worker = std::thread::spawn(move || {
                let _held = worker_lock.lock();
                is_held.wait();
                inside.call("from the worker", |_| ())
            });
            let job = vm.call("job", move |_| {
                held.wait();
                taken(&lock).map(drop)
            });
            let victims = [worker.join().unwrap().err(), job.unwrap().err().map(CallError::Deadlock)];
            let victims: Vec<_> = victims.into_iter().flatten().collect();
            let [CallError::Deadlock(deadlock)] = &victims[..] else { panic!("{victims:?}") };
            assert_closed(deadlock);
        }
    });
}

/// S7: a job of the owner waits for the end of an owner whose job waits for this one.
#[test]
fn a_shutdown_that_closes_a_cycle() {
    within_a_minute(|| {
        let a = Owner::builder("a").wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).unwrap();
        let b = Owner::builder("b").wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).unwrap();
        let (to_a, to_b) = (a.handle(), b.handle());
        let result = to_b.call("b1", move |_| to_a.call("a1", move |_| b.shutdown(Shutdown::Drain))).unwrap();
        let Ok(Err(impasse::ShutdownError::Deadlock(deadlock))) = result else { panic!("{result:?}") };
        assert_closed(&deadlock);
    });
}

#[test]
fn a_state_whose_making_waits_for_whoever_waits_for_it() {
    within_a_minute(|| {
        let lock = Arc::new(Mutex::named("config", ()));
        let held = lock.lock();
        let wanted = lock.clone();
        let made = Owner::builder("vm").try_spawn(move || wanted.checked_lock().map(drop));
        drop(held);
        match made {
            Err(SpawnError::Deadlock(deadlock)) => assert_closed(&deadlock),
            Err(SpawnError::State { source, .. }) => assert_closed(Deadlock::behind(&*source).unwrap()),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn the_report_is_the_drawing() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).unwrap();
        let vm = owner.handle();
        let (called, ran) = (line!() + 1, line!() + 2);
        let session = Session::builder("inference", &vm).engine(|run, ()| run.call("middleware", |_| ()));
        let result = vm.call("eval", move |_| session.run(())).unwrap();
        let expected = format!(
            "\
deadlock: 2 tasks wait for each other
  owner `vm` waits for run #1 of session `inference`    session.run  tests/detection/reports.rs:{ran}
  run #1 of `inference` waits for a job on owner `vm`   middleware   tests/detection/reports.rs:{called}
  the job would be queued behind the one that waits (eval)"
        );
        assert_eq!(result.unwrap_err().to_string(), expected);
    });
}

#[test]
fn a_wait_is_shown_while_it_lasts() {
    within_a_minute(|| {
        let lock = Arc::new(Mutex::named("shown", ()));
        let held = lock.lock();
        let wanted = lock.clone();
        let waiter = thread::spawn_named("waiter", move || wanted.checked_lock().map(drop).unwrap()).unwrap();
        let shown = || waiting_tasks().into_iter().find(|waiting| waiting.waits_for == "lock `shown`");
        let waiting = loop {
            if let Some(waiting) = shown() {
                break waiting;
            }
            std::thread::yield_now();
        };
        assert_eq!(waiting.task, "thread `waiter`");
        assert_eq!(waiting.op.label, "lock");
        drop(held);
        waiter.join().unwrap();
        assert_eq!(shown(), None);
    });
}

/// Three tasks, three locks, and one that gives its lock away before it asks for the next: stale edges can look
/// like a cycle, and there is none.
#[test]
fn stale_edges_are_silent() {
    within_a_minute(|| {
        for _ in 0..3_000 {
            let [r0, r1, r2] = std::array::from_fn(|_| Arc::new(Mutex::new(())));
            let all_hold = Arc::new(Barrier::new(3));
            let both = |first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>, give_away: bool| {
                let (first, second, all_hold) = (first.clone(), second.clone(), all_hold.clone());
                Box::new(move || {
                    let mut held = Some(taken(&first)?);
                    all_hold.wait();
                    if give_away {
                        held = None;
                    }
                    taken(&second).map(drop)?;
                    drop(held);
                    Ok(())
                }) as Box<dyn FnOnce() -> Result<(), Deadlock> + Send>
            };
            let victims = at_once([both(&r2, &r0, false), both(&r0, &r1, false), both(&r1, &r2, true)]);
            assert!(victims.is_empty(), "a report without a cycle: {victims:?}");
        }
    });
}

#[test]
fn a_slow_holder_is_silent() {
    within_a_minute(|| {
        let lock = Arc::new(Mutex::new(0));
        let (release, released) = mpsc::channel::<()>();
        let (holder, is_held) = (lock.clone(), Arc::new(Barrier::new(2)));
        let held = is_held.clone();
        let slow = std::thread::spawn(move || {
            let mut value = holder.lock();
            held.wait();
            released.recv().unwrap();
            *value = 7;
        });
        is_held.wait();
        let waiter = std::thread::spawn(move || *lock.lock());
        while waiting_tasks().is_empty() {
            std::thread::yield_now();
        }
        release.send(()).unwrap();
        slow.join().unwrap();
        assert_eq!(waiter.join().unwrap(), 7);
    });
}

#[test]
fn a_timed_wait_on_a_condition_ends_by_time_or_by_a_notification() {
    let shared = std::sync::Arc::new((impasse::sync::Mutex::new(false), impasse::sync::Condvar::new()));
    let (lock, changed) = &*shared;
    let (set, late) = changed.checked_wait_for(lock.lock(), std::time::Duration::from_millis(20)).unwrap();
    assert!(late.timed_out() && !*set);
    drop(set);
    let other = shared.clone();
    let setter = impasse::thread::spawn_named("setter", move || {
        *other.0.lock() = true;
        other.1.notify_all();
    });
    let mut set = lock.lock();
    while !*set {
        let late;
        (set, late) = changed.checked_wait_for(set, std::time::Duration::from_secs(60)).unwrap();
        assert!(!late.timed_out());
    }
    drop(set);
    setter.unwrap().join().unwrap();
}
