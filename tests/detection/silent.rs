//! Where it must stay silent: what looks like a deadlock, and is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use impasse::sync::channel::{RecvError, bounded, unbounded};
use impasse::sync::{Barrier, End, Held, Mutex, Party, RwLock, promise};
use impasse::{Deadlock, Owner, Shutdown, thread};

use crate::scene::{OrDeadlock, Scene, Stage, part, play, two_that_wait_for_their_pool};

/// Short scenes: many times on real threads, and explored.
const SCENES: &[Scene] = &[
    Scene { name: "an inversion under a gate lock", play: gate },
    Scene { name: "an inversion ordered by a join", play: ordered_by_join },
    Scene { name: "two reads, crossed", play: crossed_reads },
    Scene { name: "a lock handed on", play: handed_on },
    Scene { name: "a lock given away before the next is asked for", play: given_away },
    Scene { name: "a channel with one free sender", play: free_sender },
    Scene { name: "a choice of which one is live", play: live_choice },
    Scene { name: "a promise that anybody can keep", play: open_promise },
    Scene { name: "a pool with a free worker", play: free_worker },
    Scene { name: "a choice of which one is about to be closed", play: closing_choice },
    Scene { name: "a sender that has been given room", play: given_room },
    Scene { name: "who arrives last at a barrier", play: last_to_arrive },
    Scene { name: "both who meet at a barrier come at once", play: met_at_a_barrier },
    Scene { name: "both who meet at a channel come at once", play: met_at_a_channel },
];

fn none(results: impl IntoIterator<Item = Result<(), Deadlock>>) -> Vec<Deadlock> {
    results.into_iter().filter_map(Result::err).collect()
}

fn gate(stage: Stage) -> Vec<Deadlock> {
    let [gate, a, b] = ["gate", "a", "b"].map(|name| Arc::new(Mutex::named(name, ())));
    let met = stage.meeting(2);
    let both = |first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
        let (gate, first, second, met) = (gate.clone(), first.clone(), second.clone(), met.clone());
        part(move || {
            met.wait();
            let _gate = gate.lock();
            let _first = first.lock();
            second.checked_lock().or_deadlock()
        })
    };
    play([both(&a, &b), both(&b, &a)])
}

fn ordered_by_join(_: Stage) -> Vec<Deadlock> {
    let [a, b] = ["a", "b"].map(|name| Arc::new(Mutex::named(name, ())));
    let (first, second) = (a.clone(), b.clone());
    let other = thread::spawn(move || {
        let _first = first.lock();
        second.checked_lock().or_deadlock()
    });
    let theirs = other.join().unwrap();
    let _second = b.lock();
    none([theirs, a.checked_lock().or_deadlock()])
}

fn crossed_reads(stage: Stage) -> Vec<Deadlock> {
    let [a, b] = ["a", "b"].map(|name| Arc::new(RwLock::named(name, ())));
    let met = stage.meeting(2);
    let both = |first: &Arc<RwLock<()>>, second: &Arc<RwLock<()>>| {
        let (first, second, met) = (first.clone(), second.clone(), met.clone());
        part(move || {
            let _first = first.read();
            met.wait();
            second.checked_read().or_deadlock()
        })
    };
    play([both(&a, &b), both(&b, &a)])
}

/// A task holds a lock, gives it back, and tells the next to take it, which tells the first.
fn handed_on(stage: Stage) -> Vec<Deadlock> {
    let lock = Arc::new(Mutex::named("token", 0));
    let ((to_b, at_b), (to_a, at_a)) = (unbounded::<u32>(), unbounded::<u32>());
    let rounds = if stage.is_real() { 20 } else { 2 };
    let other = lock.clone();
    let b = thread::spawn_with(to_a, move |to_a| {
        for round in 0..rounds {
            at_b.recv().or_deadlock()?;
            *other.checked_lock().map_err(|error| error.deadlock().unwrap())? += 1;
            to_a.send(round).or_deadlock()?;
        }
        Ok(())
    });
    let a = thread::spawn_with(to_b, move |to_b| {
        for round in 0..rounds {
            *lock.checked_lock().map_err(|error| error.deadlock().unwrap())? += 1;
            to_b.send(round).or_deadlock()?;
            at_a.recv().or_deadlock()?;
        }
        Ok(())
    });
    none([a.join().unwrap(), b.join().unwrap()])
}

/// (`silent3`) Edges of different moments can look like a cycle.
fn given_away(stage: Stage) -> Vec<Deadlock> {
    let [r0, r1, r2] = std::array::from_fn(|_| Arc::new(Mutex::new(())));
    let met = stage.meeting(3);
    let both = |first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>, give_away: bool| {
        let (first, second, met) = (first.clone(), second.clone(), met.clone());
        part(move || {
            let mut held = Some(first.lock());
            met.wait();
            if give_away {
                held = None;
            }
            second.checked_lock().or_deadlock()?;
            drop(held);
            Ok(())
        })
    };
    // In an exploration the first two could come late, and then it is one.
    match stage.is_real() {
        true => play([both(&r2, &r0, false), both(&r0, &r1, false), both(&r1, &r2, true)]),
        false => play([both(&r0, &r1, false), both(&r1, &r2, true)]),
    }
}

/// One sender is stuck behind the receiver, and another could send all the same.
fn free_sender(stage: Stage) -> Vec<Deadlock> {
    let (sender, receiver) = bounded::<u32>(2);
    let free = sender.clone();
    let lock = Arc::new(Mutex::named("table", ()));
    let (wanted, met) = (lock.clone(), stage.meeting(3));
    let (meets, sends) = (met.clone(), met.clone());
    let held = lock.lock();
    let stuck = thread::spawn_with(sender, move |sender| {
        meets.wait();
        let _held = wanted.checked_lock().map_err(|error| error.deadlock().unwrap())?;
        sender.send(1).or_deadlock()
    });
    let other = thread::spawn(move || {
        sends.wait();
        free.send(2).or_deadlock()
    });
    met.wait();
    let mine = receiver.recv().or_deadlock();
    drop(held);
    none([mine, stuck.join().unwrap(), other.join().unwrap()])
}

fn live_choice(stage: Stage) -> Vec<Deadlock> {
    let ((one, first), (two, second)) = (bounded::<u32>(1), bounded::<u32>(1));
    let lock = Arc::new(Mutex::named("table", ()));
    let (wanted, met) = (lock.clone(), stage.meeting(3));
    let (meets, sends) = (met.clone(), met.clone());
    let held = lock.lock();
    let stuck = thread::spawn_with(one, move |_sender| {
        meets.wait();
        wanted.checked_lock().or_deadlock()
    });
    let live = thread::spawn_with(two, move |sender| {
        sends.wait();
        sender.send(2).or_deadlock()
    });
    met.wait();
    let mine = impasse::select! {
        recv(first) -> got => got,
        recv(second) -> got => got,
    };
    drop(held);
    none([mine.or_deadlock(), stuck.join().unwrap(), live.join().unwrap()])
}

/// It seems to be the waiting task's own, and is handed on.
fn open_promise(stage: Stage) -> Vec<Deadlock> {
    let (answer, resolver) = promise::<u32>();
    let (to_other, at_other) = unbounded();
    let met = stage.meeting(2);
    let meets = met.clone();
    let other = thread::spawn(move || {
        let resolver: impasse::sync::Resolver<u32> = at_other.recv().unwrap();
        meets.wait();
        resolver.resolve(1);
    });
    to_other.send(resolver).unwrap();
    met.wait();
    let mine = answer.wait().or_deadlock();
    other.join().unwrap();
    none([mine])
}

fn free_worker(stage: Stage) -> Vec<Deadlock> {
    two_that_wait_for_their_pool(stage, 3)
}

/// Of two senders that could still end a choice one is stuck, and the other goes, which ends it too.
fn closing_choice(stage: Stage) -> Vec<Deadlock> {
    let ((one, first), (two, second)) = (bounded::<u32>(1), bounded::<u32>(1));
    let lock = Arc::new(Mutex::named("table", ()));
    let (wanted, met) = (lock.clone(), stage.meeting(3));
    let (meets, goes) = (met.clone(), met.clone());
    let held = lock.lock();
    let stuck = thread::spawn_with(one, move |_sender| {
        meets.wait();
        wanted.checked_lock().or_deadlock()
    });
    let other = thread::spawn_with(two, move |sender| {
        goes.wait();
        drop(sender);
    });
    met.wait();
    let mine = impasse::select! {
        recv(first) -> got => got,
        recv(second) -> got => got,
    };
    drop(held);
    other.join().unwrap();
    let mine = match mine {
        Err(RecvError::Disconnected) => Ok(()),
        other => other.or_deadlock(),
    };
    none([mine, stuck.join().unwrap()])
}

/// There is room for the second job as soon as the owner has taken the first, which wants a lock of whoever posts both.
fn given_room(_: Stage) -> Vec<Deadlock> {
    let owner = Owner::builder("vm").capacity(1).spawn(|| ()).unwrap();
    let lock = Arc::new(Mutex::named("table", ()));
    let (wanted, (tell, told)) = (lock.clone(), unbounded());
    let held = lock.lock();
    let job = move |(): &()| tell.send(wanted.checked_lock().or_deadlock()).unwrap();
    let first = owner.handle().post_wait("first", job).or_deadlock();
    let second = owner.handle().post_wait("second", |()| ()).or_deadlock();
    drop(held);
    let third = told.recv().unwrap();
    owner.shutdown(Shutdown::Drain).unwrap();
    none([first, second, third])
}

/// Whoever arrives last waits for nobody, and another wants a lock of that one after it.
fn last_to_arrive(_: Stage) -> Vec<Deadlock> {
    let [one, two] = Barrier::parties(2).try_into().expect("two were asked for");
    let lock = Arc::new(Mutex::named("table", ()));
    let wanted = lock.clone();
    let other = thread::spawn_with(one, move |party| {
        party.wait().or_deadlock()?;
        wanted.checked_lock().or_deadlock()
    });
    let party = two.hold();
    let held = lock.lock();
    let mine = party.wait().or_deadlock();
    drop(held);
    none([mine, other.join().unwrap()])
}

fn met_at_a_barrier(_: Stage) -> Vec<Deadlock> {
    let [one, two] = Barrier::parties(2).try_into().expect("two were asked for");
    let both = |party| thread::spawn_with(party, |party: Held<Party>| party.wait().or_deadlock());
    none([both(one), both(two)].map(|thread| thread.join().unwrap()))
}

fn met_at_a_channel(_: Stage) -> Vec<Deadlock> {
    let (sender, receiver) = bounded::<u32>(0);
    let sends = thread::spawn_with(sender, |sender| sender.send(1).or_deadlock());
    let receives = thread::spawn_with(receiver, |receiver| receiver.recv().or_deadlock());
    none([sends, receives].map(|thread| thread.join().unwrap()))
}

#[test]
fn must_stay_silent() {
    println!("{:48} {:>6} {:>12}", "", "times", "executions");
    for scene in SCENES {
        scene.is_silent(crate::scene::TIMES);
        let report = scene.is_silent_in_the_explorer();
        println!("{:48} {:>6} {:>12}", scene.name, crate::scene::TIMES, report.executions());
    }
}

#[test]
fn a_holder_that_takes_its_time_is_silent() {
    crate::common::within_a_minute(|| {
        let lock = Arc::new(Mutex::named("slow", ()));
        let held = lock.lock();
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let lock = lock.clone();
                thread::spawn(move || lock.checked_lock().or_deadlock())
            })
            .collect();
        std::thread::sleep(Duration::from_millis(1_500));
        drop(held);
        assert!(none(waits.into_iter().map(|thread| thread.join().unwrap())).is_empty());
    });
}

/// A stream of numbers.
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

/// Transactions that all take their locks in one order.
#[test]
fn ordered_transactions_are_silent() {
    transactions(false);
}

/// Transactions in phases: in each all take their locks in one order, and from one to the next the order is turned around.
/// So no cycle can ever form, and what one phase leaves behind and the next begins with would look like one if it were
/// seen at once.
#[test]
fn transactions_in_phases_are_silent() {
    transactions(true);
}

/// For so many phases, or, with `IMPASSE_SILENT_SECONDS`, for so long.
const PHASES: usize = 2_000;

fn transactions(turns: bool) {
    const TASKS: usize = 4;
    const LOCKS: usize = 5;
    let seconds = std::env::var("IMPASSE_SILENT_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    let wanted = seconds.map(Duration::from_secs);
    crate::common::within(wanted.unwrap_or_default() + Duration::from_secs(60), move || {
        let began = std::time::Instant::now();
        let locks: Arc<Vec<Mutex<u64>>> = Arc::new((0..LOCKS).map(|_| Mutex::new(0)).collect());
        let phase = Arc::new(std::sync::Barrier::new(TASKS));
        // The last phase, once it is known. The first task decides before a phase, all look in it.
        let last = Arc::new(AtomicUsize::new(usize::MAX));
        let threads: Vec<_> = (0..TASKS)
            .map(|task| {
                let (locks, phase, last) = (locks.clone(), phase.clone(), last.clone());
                thread::spawn(move || {
                    let (mut state, mut done) = (task as u64 + 1, 0);
                    for round in 0.. {
                        let is_over = wanted.map_or(round >= PHASES, |wanted| began.elapsed() >= wanted);
                        if task == 0 && is_over {
                            last.store(round, Ordering::SeqCst);
                        }
                        phase.wait();
                        for _ in 0..8 {
                            let (one, other) = (random(&mut state) % LOCKS, random(&mut state) % LOCKS);
                            let (low, high) = (one.min(other), one.max(other));
                            if low == high {
                                continue;
                            }
                            let is_turned = turns && round % 2 == 1;
                            let (first, second) = if is_turned { (high, low) } else { (low, high) };
                            let mut first = locks[first].lock();
                            let mut second = locks[second].lock();
                            *first += 1;
                            *second += 1;
                            done += 1;
                        }
                        if round >= last.load(Ordering::SeqCst) {
                            break;
                        }
                    }
                    done
                })
            })
            .collect();
        let done: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(locks.iter().map(|lock| *lock.lock()).sum::<u64>(), 2 * done);
        println!("{done} transactions, each of which held two of {LOCKS} locks");
    });
}
