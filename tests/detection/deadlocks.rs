//! What must be found.

use std::sync::Arc;

use impasse::sync::channel::bounded;
use impasse::sync::{
    Barrier, Condvar, End, Mutex, OnceLock, PromiseError, RwLock, RwLockUpgradableReadGuard, WaitGroup,
    promise,
};
use impasse::{Owner, Session, Shutdown, WaitOnOwner, thread};

use crate::scene::{Ended, OrDeadlock, Scene, Stage, part, play, two_that_wait_for_their_pool};

/// Each: its name, and the scene.
const SCENES: &[Scene] = &[
    Scene { name: "two locks, crossed", play: crossed_locks },
    Scene { name: "two locks, crossed, by lock()", play: crossed_locks_that_panic },
    Scene { name: "a ring of three locks", play: ring },
    Scene { name: "a lock taken twice", play: relock },
    Scene { name: "a read that becomes a write", play: read_to_write },
    Scene { name: "two reads that become writes", play: two_reads_to_writes },
    Scene { name: "an upgrade, and a reader that waits", play: upgrade },
    Scene { name: "read, a queued writer, read again", play: read_writer_read },
    Scene { name: "a join with what the thread wants", play: join_with_lock },
    Scene { name: "a scope with what its thread wants", play: scope_with_lock },
    Scene { name: "a lock taken back after a condition", play: condition },
    Scene { name: "a lock and a channel", play: lock_and_channel },
    Scene { name: "a channel without room", play: full_channel },
    Scene { name: "two channels, hand to hand", play: crossed_channels },
    Scene { name: "a choice among two channels", play: choice },
    Scene { name: "the last sender that was free goes", play: last_free_sender },
    Scene { name: "two promises, crossed", play: crossed_promises },
    Scene { name: "a promise and a lock", play: promise_and_lock },
    Scene { name: "a value that needs itself", play: recursive_value },
    Scene { name: "two values that need each other", play: crossed_values },
    Scene { name: "a barrier, and a lock that a party wants", play: barrier },
    Scene { name: "a group, and a lock that a member wants", play: wait_group },
    Scene { name: "S1 a job waits for a later one", play: s1_self_call },
    Scene { name: "S2 a run that calls the waiting owner", play: s2_callback },
    Scene { name: "S3 two owners that call each other", play: s3_two_owners },
    Scene { name: "S4 no room in one's own queue", play: s4_own_queue },
    Scene { name: "S5 a lock and a call", play: s5_lock_and_call },
    Scene { name: "S6 the wrong loop is served", play: s6_wrong_loop },
    Scene { name: "S7 a job that ends its own end", play: s7_teardown },
    Scene { name: "S8 a pool that waits for itself", play: s8_pool },
];

/// A pair of things that two tasks take in opposite order.
fn crossed_locks(stage: Stage) -> Vec<impasse::Deadlock> {
    let [a, b] = ["a", "b"].map(|name| Arc::new(Mutex::named(name, ())));
    let met = stage.meeting(2);
    let both = |first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
        let (first, second, met) = (first.clone(), second.clone(), met.clone());
        part(move || {
            let _first = first.checked_lock().or_deadlock_with()?;
            met.wait();
            second.checked_lock().or_deadlock()
        })
    };
    play([both(&a, &b), both(&b, &a)])
}

/// The guard, which the other trait method drops.
trait OrDeadlockWith<T> {
    fn or_deadlock_with(self) -> Result<T, impasse::Deadlock>;
}

impl<T> OrDeadlockWith<T> for Result<T, impasse::WaitError> {
    fn or_deadlock_with(self) -> Result<T, impasse::Deadlock> {
        self.map_err(|error| error.deadlock().expect("nobody cancels"))
    }
}

/// What a lock that has no error to return panics with is the report, and the other task gets through.
fn crossed_locks_that_panic(stage: Stage) -> Vec<impasse::Deadlock> {
    let owners = ["left", "right"].map(|name| Owner::builder(name).spawn(|| ()).unwrap());
    let [a, b] = ["a", "b"].map(|name| Arc::new(Mutex::named(name, ())));
    let met = stage.meeting(2);
    let both = |owner: &Owner<()>, first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
        let (vm, first, second, met) = (owner.handle(), first.clone(), second.clone(), met.clone());
        part(move || {
            vm.call("both", move |()| {
                let _first = first.lock();
                met.wait();
                let _second = second.lock();
            })
            .or_deadlock()
        })
    };
    play([both(&owners[0], &a, &b), both(&owners[1], &b, &a)])
}

fn ring(stage: Stage) -> Vec<impasse::Deadlock> {
    let locks: [_; 3] = std::array::from_fn(|_| Arc::new(Mutex::new(())));
    let met = stage.meeting(3);
    play(std::array::from_fn::<_, 3, _>(|index| {
        let (first, second, met) = (locks[index].clone(), locks[(index + 1) % 3].clone(), met.clone());
        part(move || {
            let _first = first.checked_lock().or_deadlock_with()?;
            met.wait();
            second.checked_lock().or_deadlock()
        })
    }))
}

fn relock(stage: Stage) -> Vec<impasse::Deadlock> {
    let (lock, met) = (Mutex::named("twice", ()), stage.meeting(1));
    play([part(move || {
        let _held = lock.lock();
        met.wait();
        lock.checked_lock().or_deadlock()
    })])
}

fn read_to_write(stage: Stage) -> Vec<impasse::Deadlock> {
    let (lock, met) = (RwLock::named("table", ()), stage.meeting(1));
    play([part(move || {
        let _read = lock.read();
        met.wait();
        lock.checked_write().or_deadlock()
    })])
}

/// Each waits for both to read no more: for itself.
fn two_reads_to_writes(stage: Stage) -> Vec<impasse::Deadlock> {
    let (lock, met) = (Arc::new(RwLock::named("table", ())), stage.meeting(2));
    let waits = lock.clone();
    let reads = met.clone();
    play([
        part(move || {
            let read = waits.checked_read().or_deadlock_with()?;
            reads.wait();
            drop(read);
            Ok(())
        }),
        part(move || {
            let _read = lock.read();
            met.wait();
            lock.checked_write().or_deadlock()
        }),
    ])
}

/// An upgrade waits for all other readers; one of those waits for whoever upgrades.
fn upgrade(stage: Stage) -> Vec<impasse::Deadlock> {
    let (lock, met) = (Arc::new(RwLock::named("table", 1)), stage.meeting(2));
    let log = Arc::new(Mutex::named("log", ()));
    let (reads, logs, meets) = (lock.clone(), log.clone(), met.clone());
    play([
        part(move || {
            let _read = reads.checked_read().or_deadlock_with()?;
            meets.wait();
            logs.checked_lock().or_deadlock()
        }),
        part(move || {
            // Whoever has to upgrade has no error to return: another task does.
            let vm = Owner::builder("upgrades").spawn(|| ()).unwrap();
            let upgrades = vm.handle().call("upgrade", move |()| {
                let _log = log.lock();
                let read = lock.upgradable_read();
                met.wait();
                *RwLockUpgradableReadGuard::upgrade(read) += 1;
            });
            upgrades.or_deadlock()
        }),
    ])
}

fn read_writer_read(stage: Stage) -> Vec<impasse::Deadlock> {
    let lock = Arc::new(RwLock::named("table", ()));
    let writes = lock.clone();
    let met = stage.meeting(2);
    let meet = met.clone();
    let is_real = stage.is_real();
    play([
        part(move || {
            meet.wait();
            writes.checked_write().or_deadlock()
        }),
        part(move || {
            let _read = lock.checked_read().or_deadlock_with()?;
            met.wait();
            // Until the writer is in line.
            while is_real && lock.try_read().is_some() {
                std::thread::yield_now();
            }
            lock.checked_read().or_deadlock()
        }),
    ])
}

fn join_with_lock(stage: Stage) -> Vec<impasse::Deadlock> {
    let lock = Arc::new(Mutex::named("table", ()));
    let (wanted, met) = (lock.clone(), stage.meeting(2));
    let meets = met.clone();
    let held = lock.lock();
    let joined = thread::spawn(move || {
        meets.wait();
        wanted.checked_lock().or_deadlock()
    });
    met.wait();
    // One of the two waits closes the cycle, and the other one ends by that.
    let mine = joined.checked_join();
    drop(held);
    match mine {
        Ok(theirs) => theirs.err().into_iter().collect(),
        Err(error) => error.deadlock().into_iter().collect(),
    }
}

/// The end of a scope cannot be refused, so the wait of its thread is.
fn scope_with_lock(stage: Stage) -> Vec<impasse::Deadlock> {
    let lock = Mutex::named("table", ());
    let met = stage.meeting(2);
    let mut found = Ok(());
    let held = lock.lock();
    thread::scope(|scope| {
        let (lock, found, meets) = (&lock, &mut found, met.clone());
        scope.spawn(move || {
            meets.wait();
            *found = lock.checked_lock().or_deadlock();
        });
        met.wait();
    });
    drop(held);
    found.err().into_iter().collect()
}

/// Whoever was notified wants its lock back from somebody who waits for what it holds besides.
fn condition(stage: Stage) -> Vec<impasse::Deadlock> {
    let shared = Arc::new((Mutex::named("state", false), Condvar::new(), Mutex::named("other", ())));
    let (other, met) = (shared.clone(), stage.meeting(2));
    let meets = met.clone();
    play([
        part(move || {
            meets.wait();
            let mut state = other.0.checked_lock().or_deadlock_with()?;
            *state = true;
            other.1.notify_one();
            other.2.checked_lock().or_deadlock()
        }),
        part(move || {
            let _besides = shared.2.checked_lock().or_deadlock_with()?;
            met.wait();
            let mut state = shared.0.checked_lock().or_deadlock_with()?;
            while !*state {
                state = shared.1.checked_wait(state).or_deadlock_with()?;
            }
            Ok(())
        }),
    ])
}

/// The receiver holds the lock that the sender, which alone can send, wants first.
fn lock_and_channel(stage: Stage) -> Vec<impasse::Deadlock> {
    let (sender, receiver) = bounded::<u32>(1);
    let lock = Arc::new(Mutex::named("table", ()));
    let (wanted, met) = (lock.clone(), stage.meeting(2));
    let meets = met.clone();
    let held = lock.lock();
    let sends = thread::spawn_with(sender, move |sender| {
        meets.wait();
        let _held = wanted.checked_lock().or_deadlock_with()?;
        sender.send(1).or_deadlock()
    });
    met.wait();
    let mine = match receiver.recv() {
        // The lock was not held when the sender came.
        Err(impasse::sync::channel::RecvError::Disconnected) => Ok(()),
        received => received.or_deadlock(),
    };
    drop(held);
    [mine, sends.join().unwrap()].into_iter().filter_map(Result::err).collect()
}

/// A task that alone could receive sends more than there is room for.
fn full_channel(stage: Stage) -> Vec<impasse::Deadlock> {
    let (sender, receiver) = bounded::<u32>(1);
    let met = stage.meeting(1);
    play([part(move || {
        let _receiver = receiver.hold();
        sender.send(1).unwrap();
        met.wait();
        sender.send(2).or_deadlock()
    })])
}

/// Each of two tasks gives the other something before it takes what the other gives.
fn crossed_channels(stage: Stage) -> Vec<impasse::Deadlock> {
    let ((to_a, at_a), (to_b, at_b)) = (bounded::<u32>(0), bounded::<u32>(0));
    let met = stage.meeting(2);
    let meets = met.clone();
    let ended = |ended: Result<(), impasse::sync::channel::SendError<u32>>| match ended {
        // The other one was refused, and has gone.
        Err(impasse::sync::channel::SendError::Disconnected(_)) => Ok(()),
        ended => ended.or_deadlock(),
    };
    let a = thread::spawn_with(at_a, move |_at_a| {
        meets.wait();
        ended(to_b.send(1))
    });
    let b = thread::spawn_with(at_b, move |_at_b| {
        met.wait();
        ended(to_a.send(2))
    });
    [a, b].into_iter().filter_map(|thread| thread.join().unwrap().err()).collect()
}

/// Whoever could send on either of two channels waits for the one that chooses.
fn choice(stage: Stage) -> Vec<impasse::Deadlock> {
    let ((one, first), (two, second)) = (bounded::<u32>(1), bounded::<u32>(1));
    let lock = Arc::new(Mutex::named("table", ()));
    let met = stage.meeting(3);
    let held = lock.lock();
    let sends = [one, two].map(|sender| {
        let (wanted, meets) = (lock.clone(), met.clone());
        thread::spawn_with(sender, move |sender| -> Ended {
            meets.wait();
            let _held = wanted.checked_lock().or_deadlock_with()?;
            // Whoever chose may have gone with the other's.
            let _ = sender.send(1);
            Ok(())
        })
    });
    met.wait();
    let mine = impasse::select! {
        recv(first) -> got => got,
        recv(second) -> got => got,
    };
    drop(held);
    let mine = match mine {
        Err(impasse::sync::channel::RecvError::Disconnected) => Ok(()),
        mine => mine.or_deadlock(),
    };
    let theirs = sends.into_iter().map(|thread| thread.join().unwrap());
    std::iter::once(mine).chain(theirs).filter_map(Result::err).collect()
}

/// The wait is no deadlock while a sender is free; when that goes, it is one.
fn last_free_sender(stage: Stage) -> Vec<impasse::Deadlock> {
    let (sender, receiver) = bounded::<u32>(1);
    let free = sender.clone();
    let lock = Arc::new(Mutex::named("table", ()));
    let (wanted, met) = (lock.clone(), stage.meeting(3));
    let (meets, goes) = (met.clone(), met.clone());
    let held = lock.lock();
    let sends = thread::spawn_with(sender, move |sender| {
        meets.wait();
        let _held = wanted.checked_lock().or_deadlock_with()?;
        sender.send(1).or_deadlock()
    });
    let drops = thread::spawn(move || {
        goes.wait();
        drop(free);
    });
    met.wait();
    let mine = match receiver.recv() {
        Err(impasse::sync::channel::RecvError::Disconnected) => Ok(()),
        received => received.or_deadlock(),
    };
    drop(held);
    drops.join().unwrap();
    [mine, sends.join().unwrap()].into_iter().filter_map(Result::err).collect()
}

/// Each of two tasks keeps its promise when the other has kept its.
fn crossed_promises(stage: Stage) -> Vec<impasse::Deadlock> {
    let ((a, resolve_a), (b, resolve_b)) = (promise::<u32>(), promise::<u32>());
    let met = stage.meeting(2);
    let meets = met.clone();
    let ended = |ended: Result<u32, PromiseError>| match ended {
        // The other was refused, and has gone.
        Err(PromiseError::Abandoned(_)) => Ok(()),
        ended => ended.or_deadlock(),
    };
    let one = thread::spawn_with(resolve_a, move |held| {
        meets.wait();
        ended(b.wait()).inspect(|()| held.resolve(1))
    });
    let other = thread::spawn_with(resolve_b, move |held| {
        met.wait();
        ended(a.wait()).inspect(|()| held.resolve(2))
    });
    [one, other].into_iter().filter_map(|thread| thread.join().unwrap().err()).collect()
}

fn promise_and_lock(stage: Stage) -> Vec<impasse::Deadlock> {
    let (answer, resolver) = promise::<u32>();
    let lock = Arc::new(Mutex::named("table", ()));
    let (wanted, met) = (lock.clone(), stage.meeting(2));
    let meets = met.clone();
    let held = lock.lock();
    let resolves = thread::spawn_with(resolver, move |resolver| {
        meets.wait();
        let _held = wanted.checked_lock().or_deadlock_with()?;
        resolver.resolve(1);
        Ok(())
    });
    met.wait();
    let mine = match answer.wait() {
        Err(PromiseError::Abandoned(_)) => Ok(()),
        answer => answer.or_deadlock(),
    };
    drop(held);
    [mine, resolves.join().unwrap()].into_iter().filter_map(Result::err).collect()
}

fn recursive_value(stage: Stage) -> Vec<impasse::Deadlock> {
    let (value, met) = (OnceLock::<u32>::new(), stage.meeting(1));
    let mut found = Vec::new();
    value.get_or_init(|| {
        met.wait();
        found.extend(value.checked_get_or_init(|| 1).or_deadlock().err());
        0
    });
    found
}

fn crossed_values(stage: Stage) -> Vec<impasse::Deadlock> {
    let values: Arc<[OnceLock<u32>; 2]> = Arc::new([OnceLock::new(), OnceLock::new()]);
    let met = stage.meeting(2);
    let makes = |mine: usize, other: usize| {
        let (values, met) = (values.clone(), met.clone());
        part(move || {
            let mut found = Ok(());
            let made = values[mine].checked_get_or_init(|| {
                met.wait();
                found = values[other].checked_get_or_init(|| 1).or_deadlock();
                2
            });
            made.or_deadlock()?;
            found
        })
    };
    play([makes(0, 1), makes(1, 0)])
}

/// Somebody waits at the barrier with a lock that another party wants before it comes.
fn barrier(stage: Stage) -> Vec<impasse::Deadlock> {
    let mut parties = Barrier::parties(2);
    let lock = Arc::new(Mutex::named("table", ()));
    let (wanted, met) = (lock.clone(), stage.meeting(2));
    let meets = met.clone();
    let held = lock.lock();
    let other = thread::spawn_with(parties.pop().unwrap(), move |party| {
        meets.wait();
        wanted.checked_lock().or_deadlock()?;
        party.wait().or_deadlock()
    });
    met.wait();
    let mine = parties.pop().unwrap().hold();
    let waited = mine.wait().or_deadlock();
    // Whoever was refused leaves, and the other one goes on alone.
    drop((mine, held));
    let mine = waited;
    [mine, other.join().unwrap()].into_iter().filter_map(Result::err).collect()
}

fn wait_group(stage: Stage) -> Vec<impasse::Deadlock> {
    let group = WaitGroup::new();
    let lock = Arc::new(Mutex::named("table", ()));
    let (wanted, met) = (lock.clone(), stage.meeting(2));
    let meets = met.clone();
    let held = lock.lock();
    let other = thread::spawn_with(group.clone(), move |_member| {
        meets.wait();
        wanted.checked_lock().or_deadlock()
    });
    met.wait();
    let mine = group.checked_wait().or_deadlock();
    drop(held);
    [mine, other.join().unwrap()].into_iter().filter_map(Result::err).collect()
}

fn owner(name: &str) -> Owner<()> {
    Owner::builder(name).wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).unwrap()
}

fn s1_self_call(stage: Stage) -> Vec<impasse::Deadlock> {
    let (owner, met) = (owner("loop"), stage.meeting(1));
    let vm = owner.handle();
    let waits = owner.handle().call("handler", move |()| {
        let (answer, resolver) = promise::<u32>();
        vm.post_with("coroutine", resolver, |(), held| held.resolve(1)).unwrap();
        met.wait();
        answer.wait().or_deadlock()
    });
    waits.unwrap().err().into_iter().collect()
}

fn s2_callback(stage: Stage) -> Vec<impasse::Deadlock> {
    let (owner, met) = (owner("vm"), stage.meeting(1));
    let session = Session::builder("inference", &owner.handle()).engine(move |run, ()| {
        met.wait();
        run.call("middleware", |()| ())
    });
    let ran = owner.handle().call("eval", move |()| session.run(()));
    ran.unwrap().or_deadlock().err().into_iter().collect()
}

fn s3_two_owners(stage: Stage) -> Vec<impasse::Deadlock> {
    let (a, b) = (owner("a"), owner("b"));
    let met = stage.meeting(2);
    let calls = |from: &Owner<()>, to: &Owner<()>| {
        let (from, to, met) = (from.handle(), to.handle(), met.clone());
        part(move || {
            let called = from.call("outer", move |()| {
                met.wait();
                to.call("inner", |()| ()).or_deadlock()
            });
            called.unwrap()
        })
    };
    play([calls(&a, &b), calls(&b, &a)])
}

fn s4_own_queue(stage: Stage) -> Vec<impasse::Deadlock> {
    let owner = Owner::builder("loop").capacity(1).spawn(|| ()).unwrap();
    let (vm, met) = (owner.handle(), stage.meeting(1));
    let filled = owner.handle().call("fill", move |()| {
        vm.post_wait("first", |()| ()).unwrap();
        met.wait();
        vm.post_wait("second", |()| ()).or_deadlock()
    });
    filled.unwrap().err().into_iter().collect()
}

fn s5_lock_and_call(stage: Stage) -> Vec<impasse::Deadlock> {
    let owner = Owner::builder("vm").spawn(|| ()).unwrap();
    let lock = Arc::new(Mutex::named("table", ()));
    let (wanted, met) = (lock.clone(), stage.meeting(2));
    let (vm, calls, meets) = (owner.handle(), owner.handle(), met.clone());
    play([
        part(move || {
            let _held = lock.checked_lock().or_deadlock_with()?;
            meets.wait();
            calls.call("from the worker", |()| ()).or_deadlock()
        }),
        part(move || {
            vm.call("job", move |()| {
                met.wait();
                wanted.checked_lock().or_deadlock()
            })
            .unwrap()
        }),
    ])
}

/// A job runs another loop until something is done that only a job of its own loop does.
fn s6_wrong_loop(stage: Stage) -> Vec<impasse::Deadlock> {
    let (ui, io, met) = (owner("ui"), owner("io"), stage.meeting(1));
    let (to_ui, to_io) = (ui.handle(), io.handle());
    let waits = ui.handle().call("handler", move |()| {
        let (answer, resolver) = promise::<u32>();
        to_ui.post_with("later", resolver, |(), held| held.resolve(1)).unwrap();
        // It serves the other one's loop meanwhile: by waiting for it.
        met.wait();
        to_io.call("pump", move |()| answer.wait().or_deadlock()).unwrap()
    });
    waits.unwrap().err().into_iter().collect()
}

/// A job of one owner ends another, whose job waits for the first.
fn s7_teardown(stage: Stage) -> Vec<impasse::Deadlock> {
    let (a, b) = (owner("a"), owner("b"));
    let (to_a, to_b, met) = (a.handle(), b.handle(), stage.meeting(1));
    let ended = to_b.call("b1", move |()| {
        let ended = to_a.call("a1", move |()| {
            met.wait();
            b.shutdown(Shutdown::Drain).or_deadlock()
        });
        ended.unwrap()
    });
    drop(a);
    ended.unwrap().err().into_iter().collect()
}

/// All workers wait for work that is queued at their pool.
fn s8_pool(stage: Stage) -> Vec<impasse::Deadlock> {
    two_that_wait_for_their_pool(stage, 2)
}

#[test]
fn must_detect() {
    println!(
        "{:42} {:>6} {:>12} {:>12} {:>10} {:>10}",
        "", "times", "latency", "executions", "deadlocks", "search"
    );
    for scene in SCENES {
        let latency = scene.is_detected();
        let report = scene.is_found_by_the_explorer();
        let (executions, deadlocked) = (report.executions(), report.deadlocked());
        let times = crate::scene::TIMES;
        let verdict = format!("{:?}", report.verdict()).to_lowercase();
        println!(
            "{:42} {times:>6} {latency:>12.1?} {executions:>12} {deadlocked:>10} {verdict:>10}",
            scene.name
        );
    }
}

/// Not a deadlock, and never a hang: a promise whose holder died is abandoned.
#[test]
fn a_promise_whose_holder_died_is_abandoned() {
    crate::common::within_a_minute(|| {
        for _ in 0..crate::scene::TIMES {
            let (answer, resolver) = promise::<u32>();
            drop(thread::spawn_with(resolver, |_held| std::panic::resume_unwind(Box::new("dies"))));
            assert!(matches!(answer.wait(), Err(PromiseError::Abandoned(_))));
        }
    });
    impasse::explore(|| {
        let (answer, resolver) = promise::<u32>();
        thread::spawn_with(resolver, std::mem::forget);
        assert!(matches!(answer.wait(), Err(PromiseError::Abandoned(_))));
    });
}
