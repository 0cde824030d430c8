//! Random programs of all kinds of waits on real threads: everything ends, and what is reported is a deadlock.

use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use impasse::sync::channel::{Receiver, Sender, bounded};
use impasse::sync::{End as _, Mutex, Promise, PromiseError, Resolver, RwLock, promise};
use impasse::{Deadlock, thread};
use proptest::prelude::*;

/// How many of each there are.
const MANY: usize = 3;

/// What a task does next.
#[derive(Clone, Copy, Debug)]
enum Do {
    Lock(usize),
    Read(usize),
    Write(usize),
    /// Gives back what was taken last.
    Release,
    /// To the task of this number.
    Send(usize),
    Receive,
    /// Waits for the promise of the task of this number.
    Await(usize),
    /// Keeps its own.
    Keep,
}

fn does() -> impl Strategy<Value = Do> {
    let which = || 0..MANY;
    prop_oneof![
        3 => which().prop_map(Do::Lock),
        2 => which().prop_map(Do::Read),
        2 => which().prop_map(Do::Write),
        3 => Just(Do::Release),
        2 => which().prop_map(Do::Send),
        2 => Just(Do::Receive),
        1 => which().prop_map(Do::Await),
        1 => Just(Do::Keep),
    ]
}

/// Tasks, each of which holds the one receiver of its own channel, a sender of every other, and its own promise: all of
/// them bound, so that every wait is exact.
fn programs() -> impl Strategy<Value = Vec<Vec<Do>>> {
    prop::collection::vec(prop::collection::vec(does(), 1..8), MANY)
}

enum Taken<'a> {
    Lock(#[allow(dead_code, reason = "its drop gives it back")] impasse::sync::MutexGuard<'a, ()>),
    Read(#[allow(dead_code, reason = "as above")] impasse::sync::RwLockReadGuard<'a, ()>),
    Write(#[allow(dead_code, reason = "as above")] impasse::sync::RwLockWriteGuard<'a, ()>),
}

struct Own {
    does: Vec<Do>,
    senders: Vec<Sender<u32>>,
    receiver: Receiver<u32>,
    keeps: Resolver<()>,
    awaits: Vec<Option<Promise<()>>>,
}

fn play(own: Own, locks: &[Mutex<()>], tables: &[RwLock<()>], start: &Barrier) -> Option<Deadlock> {
    let Own { does, senders, receiver, keeps, mut awaits } = own;
    let senders: Vec<_> = senders.into_iter().map(Sender::hold).collect();
    let receiver = receiver.hold();
    let mut keeps = Some(keeps.hold());
    start.wait();
    let mut taken = Vec::new();
    for what in does {
        let refused = match what {
            Do::Lock(one) => locks[one].checked_lock().map(|held| taken.push(Taken::Lock(held))).err(),
            Do::Read(one) => tables[one].checked_read().map(|held| taken.push(Taken::Read(held))).err(),
            Do::Write(one) => tables[one].checked_write().map(|held| taken.push(Taken::Write(held))).err(),
            Do::Release => {
                taken.pop();
                None
            }
            Do::Send(one) => match senders[one].send(1) {
                Err(impasse::sync::channel::SendError::Deadlock(_, deadlock)) => return Some(deadlock),
                _ => None,
            },
            Do::Receive => match receiver.recv() {
                Err(impasse::sync::channel::RecvError::Deadlock(deadlock)) => return Some(deadlock),
                _ => None,
            },
            Do::Await(one) => match awaits[one].take().map(Promise::wait) {
                Some(Err(PromiseError::Deadlock(deadlock))) => return Some(deadlock),
                _ => None,
            },
            Do::Keep => {
                keeps.take().into_iter().for_each(|keeps| keeps.resolve(()));
                None
            }
        };
        if let Some(error) = refused {
            return error.deadlock();
        }
    }
    None
}

/// Plays it and returns the reports. A hang ends the process.
fn run(program: &[Vec<Do>]) -> Vec<Deadlock> {
    let (done, ended) = mpsc::channel();
    let shown = format!("{program:?}");
    let program = program.to_vec();
    std::thread::spawn(move || {
        let locks: Arc<[_; MANY]> = Arc::new(std::array::from_fn(|_| Mutex::new(())));
        let tables: Arc<[_; MANY]> = Arc::new(std::array::from_fn(|_| RwLock::new(())));
        let start = Arc::new(Barrier::new(MANY));
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..MANY).map(|_| bounded::<u32>(1)).unzip();
        // One promise of each task to each other.
        let mut awaits: Vec<Vec<Option<Promise<()>>>> =
            (0..MANY).map(|_| (0..MANY).map(|_| None).collect()).collect();
        let mut threads = Vec::new();
        let mut keeps = Vec::new();
        for keeper in 0..MANY {
            let (answer, resolver) = promise();
            awaits[(keeper + 1) % MANY][keeper] = Some(answer);
            keeps.push(resolver);
        }
        for (((does, receiver), keeps), awaits) in program.into_iter().zip(receivers).zip(keeps).zip(awaits) {
            let own = Own { does, senders: senders.clone(), receiver, keeps, awaits };
            let (locks, tables, start) = (locks.clone(), tables.clone(), start.clone());
            threads.push(thread::spawn(move || play(own, &*locks, &*tables, &start)));
        }
        drop(senders);
        let ended = threads
            .into_iter()
            .filter_map(|thread| thread.checked_join().expect("nobody waits for this one"));
        done.send(ended.collect()).unwrap();
    });
    match ended.recv_timeout(Duration::from_secs(60)) {
        Ok(reports) => reports,
        Err(_) => {
            // Shrinking would hang again, and again.
            eprintln!("hangs: {shown}\n{:#?}", impasse::waiting_tasks());
            std::process::abort();
        }
    }
}

proptest! {
    #![proptest_config(super::config())]

    /// Every wait here is exact: what could hang is refused, and each hop of a report waits for others of it.
    #[test]
    fn whatever_waits_ends(program in programs()) {
        for _ in 0..4 {
            for deadlock in run(&program) {
                for hop in deadlock.hops() {
                    for provider in hop.held_by.split(" or ") {
                        prop_assert!(deadlock.hops().iter().any(|other| other.task == provider), "{}", deadlock);
                    }
                }
            }
        }
    }
}
