//! Locks in any order, conditions and queues.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use impasse::sync::{Condvar, Mutex, Queue};
use impasse::{Owner, Run, RunError, Session, WaitError};

use crate::tools::{self, Random};

const THREADS: usize = 4;
const TURNS: usize = 150;
const LOCKS: usize = 3;

type Accounts = Arc<[Mutex<i64>; LOCKS]>;

pub fn round(seed: u64) {
    transfers(seed);
    bounded_buffer(seed);
}

/// Money goes from account to account under two or three locks, taken in any order; whoever would close a cycle, or
/// is cancelled, gives up with everything as it was.
fn transfers(seed: u64) {
    let accounts: Accounts = Arc::new(std::array::from_fn(|_| Mutex::new(100)));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (accounts, random) = (accounts.clone(), Random::new(seed, number));
            thread::spawn(
                move || if number == 0 { in_runs(accounts, random) } else { all(&accounts, random) },
            )
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a thread"));
    let sum: i64 = accounts.iter().map(|account| *account.checked_lock().expect("a free lock")).sum();
    assert_eq!(sum, 100 * LOCKS as i64);
}

fn all(accounts: &Accounts, mut random: Random) {
    for _ in 0..TURNS {
        match transfer(accounts, &mut random) {
            Ok(()) => {}
            Err(WaitError::Deadlock(deadlock)) => assert!(deadlock.hops().len() >= 2, "{deadlock}"),
            Err(error) => panic!("{error}"),
        }
        tools::step();
    }
}

fn transfer(accounts: &Accounts, random: &mut Random) -> Result<(), WaitError> {
    let from = random.below(LOCKS);
    let to = (from + 1 + random.below(LOCKS - 1)) % LOCKS;
    let mut first = accounts[from].checked_lock()?;
    random.pause();
    let mut second = accounts[to].checked_lock()?;
    if random.one_in(4)
        && let Some(mut third) = accounts[3 - from - to].try_lock()
    {
        *third += 1;
        *first -= 1;
    }
    *first -= 5;
    *second += 5;
    Ok(())
}

/// The same on behalf of runs that are cancelled.
fn in_runs(accounts: Accounts, mut random: Random) {
    let owner = Owner::builder("starter").spawn(|| ()).expect("an owner");
    let session = Session::builder("transfers", &owner.handle()).engine(move |_: &Run<()>, seed: u64| {
        let mut random = Random::new(seed, 0);
        (0..10).try_for_each(|_| transfer(&accounts, &mut random))
    });
    for turn in 0..TURNS as u64 / 10 {
        let run = session.start(turn).expect("a run");
        random.pause();
        let cancelled = random.one_in(2) && run.cancel();
        match run.wait() {
            Err(RunError::Cancelled(_)) => assert!(cancelled),
            Ok(()) | Err(RunError::Deadlock(_)) => assert!(!cancelled),
            Err(error) => panic!("{error}"),
        }
        tools::step();
    }
}

/// Numbers go through a buffer for three with conditions, and from there through a queue; each arrives once.
fn bounded_buffer(seed: u64) {
    const NUMBERS: u64 = 200;
    let buffer = Arc::new((Mutex::new(Vec::new()), Condvar::new(), Condvar::new()));
    let queue = Arc::new(Queue::new());
    let putters: Vec<_> = (0..2)
        .map(|number| {
            let (buffer, mut random) = (buffer.clone(), Random::new(seed, 10 + number));
            thread::spawn(move || {
                let (held, not_full, not_empty) = &*buffer;
                for item in 0..NUMBERS {
                    let mut items = held.checked_lock().expect("no cycle");
                    while items.len() >= 3 {
                        items = match random.one_in(2) {
                            true => not_full.checked_wait(items).expect("no cycle"),
                            false => {
                                not_full
                                    .checked_wait_for(items, Duration::from_micros(50))
                                    .expect("no cycle")
                                    .0
                            }
                        };
                    }
                    items.push(Box::new(item));
                    drop(items);
                    not_empty.notify_one();
                    tools::step();
                }
            })
        })
        .collect();
    let takers: Vec<_> = (0..2)
        .map(|_| {
            let (buffer, queue) = (buffer.clone(), queue.clone());
            thread::spawn(move || {
                let (held, not_full, not_empty) = &*buffer;
                for _ in 0..NUMBERS {
                    let mut items = held.checked_lock().expect("no cycle");
                    while items.is_empty() {
                        items = not_empty.checked_wait(items).expect("no cycle");
                    }
                    let item = items.pop();
                    drop(items);
                    // A wait with a time can have taken the notification of one without.
                    not_full.notify_all();
                    queue.push(item);
                    tools::step();
                }
            })
        })
        .collect();
    let sums: Vec<_> = (0..2)
        .map(|_| {
            let queue = queue.clone();
            let pop = move || queue.pop().expect("no cycle").map_or(0, |item: Box<u64>| *item);
            thread::spawn(move || (0..NUMBERS).map(|_| pop()).sum::<u64>())
        })
        .collect();
    putters.into_iter().chain(takers).for_each(|thread| thread.join().expect("a thread"));
    let sum: u64 = sums.into_iter().map(|sum| sum.join().expect("a thread")).sum();
    assert_eq!(sum, NUMBERS * (NUMBERS - 1));
    assert!(queue.try_pop().is_none());
}
