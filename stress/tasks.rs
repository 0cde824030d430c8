//! Threads and runs that come and go, so that records of tasks are used again, while others look.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use impasse::sync::Mutex;
use impasse::{Handle, Owner, Run, Session};

use crate::tools::{self, Random};

const TURNS: usize = 40;

pub fn round(seed: u64) {
    let owner = Owner::builder("vm").spawn(|| ()).expect("an owner");
    let (vm, lock) = (owner.handle(), Arc::new(Mutex::new(0_u64)));
    let over = Arc::new(AtomicBool::new(false));
    let looker = {
        let (over, vm) = (over.clone(), vm.clone());
        thread::spawn(move || look(&over, &vm))
    };
    let comers: Vec<_> = (0..3)
        .map(|number| {
            let (vm, lock, random) = (vm.clone(), lock.clone(), Random::new(seed, number));
            thread::spawn(move || come_and_go(&vm, &lock, random))
        })
        .collect();
    let expected: u64 = comers.into_iter().map(|comer| comer.join().expect("a thread")).sum();
    over.store(true, Ordering::Relaxed);
    looker.join().expect("a thread");
    assert_eq!(*lock.checked_lock().expect("a free lock"), expected);
    assert_eq!(vm.wait_idle(), Ok(()));
}

/// Looks at all tasks, and has looks taken for it by cancellations, until everybody is through.
fn look(over: &AtomicBool, vm: &Handle<()>) {
    let session = Session::builder("to be cancelled", vm)
        .engine(|run: &Run<()>, ()| run.call("callback", |()| thread::yield_now()));
    while !over.load(Ordering::Relaxed) {
        for waiting in impasse::waiting_tasks() {
            assert!(!waiting.task.is_empty() && !waiting.waits_for.is_empty());
        }
        let run = session.start(()).expect("a run");
        let cancelled = run.cancel();
        assert_eq!(run.wait().is_err(), cancelled);
        tools::step();
    }
}

/// Owners, threads and runs that live for one wait; returns how often the lock's number was increased.
fn come_and_go(vm: &Handle<()>, lock: &Arc<Mutex<u64>>, mut random: Random) -> u64 {
    let adds = {
        let lock = lock.clone();
        move || *lock.checked_lock().expect("locked alone") += 1
    };
    let session = Session::builder("runs", vm).concurrent().engine({
        let adds = adds.clone();
        move |run: &Run<()>, ()| {
            adds();
            run.call("callback", |()| ())
        }
    });
    let (mut added, begun) = (0, Arc::new(AtomicU32::new(0)));
    for turn in 0..TURNS {
        match random.below(4) {
            0 => {
                let (vm, adds) = (vm.clone(), adds.clone());
                thread::spawn(move || {
                    adds();
                    vm.call("from a thread", |()| ()).expect("an answer");
                })
                .join()
                .expect("a thread");
                added += 1;
            }
            1 => {
                let adds = adds.clone();
                let thread = impasse::thread::spawn_named("comes and goes", adds).expect("a thread");
                thread.join().expect("no cycle");
                added += 1;
            }
            2 => {
                let runs: Vec<_> = (0..3).map(|_| session.start(()).expect("a run")).collect();
                runs.into_iter().for_each(|run| run.wait().expect("an answer"));
                added += 3;
            }
            _ => {
                let owner = Owner::builder("comes and goes").spawn(|| Box::new(1)).expect("an owner");
                let counts = begun.clone();
                let posted = owner.handle().post("one", move |one| {
                    counts.fetch_add(**one, Ordering::Relaxed);
                });
                assert!(posted.is_ok());
                drop(owner);
                begun.fetch_sub(1, Ordering::Relaxed);
            }
        }
        assert_eq!(begun.load(Ordering::Relaxed), 0, "turn {turn}: a drop waits for what was accepted");
        tools::step();
    }
    added
}
