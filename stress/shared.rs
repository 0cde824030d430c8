//! Locks that many read at once, and items that go from hand to hand.

use std::sync::Arc;

use impasse::sync::channel::{Receiver, Sender, bounded, unbounded};
use impasse::sync::{End as _, RwLock, RwLockUpgradableReadGuard, Semaphore, WaitGroup};
use impasse::{WaitError, select, thread};

use crate::tools::{self, Random};

/// A table of two numbers.
type Table = RwLock<Box<(u64, u64)>>;

const TABLES: usize = 2;
const TURNS: usize = 150;

pub fn round(seed: u64) {
    tables(seed);
    hand_to_hand(seed);
}

/// Two tables of two numbers that are always equal, read and written in any order; whoever would close a cycle gives up.
fn tables(seed: u64) {
    let tables: Arc<[Table; TABLES]> = Arc::new(std::array::from_fn(|_| RwLock::default()));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (tables, mut random) = (tables.clone(), Random::new(seed, 30 + number));
            thread::spawn(move || {
                for _ in 0..TURNS {
                    match turn(&tables, &mut random) {
                        Ok(()) => {}
                        Err(WaitError::Deadlock(deadlock)) => assert!(!deadlock.hops().is_empty()),
                        Err(error) => panic!("{error}"),
                    }
                    tools::step();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.checked_join().expect("no cycle"));
    assert!(tables.iter().all(|table| !table.is_locked()));
}

fn turn(tables: &[Table; TABLES], random: &mut Random) -> Result<(), WaitError> {
    let one = random.below(TABLES);
    let other = 1 - one;
    if random.one_in(4) {
        let read = tables[one].upgradable_read();
        assert_eq!(read.0, read.1);
        // While other readers are there it stays one.
        if let Ok(mut write) = RwLockUpgradableReadGuard::try_upgrade(read) {
            write.0 += 1;
            write.1 += 1;
        }
        return Ok(());
    }
    let first = tables[one].checked_read()?;
    assert_eq!(first.0, first.1);
    random.pause();
    if random.one_in(2) {
        let second = tables[other].checked_read()?;
        assert_eq!(second.0, second.1);
        return Ok(());
    }
    let mut second = tables[other].checked_write()?;
    second.0 += 1;
    random.pause();
    second.1 += 1;
    Ok(())
}

/// Numbers go through a channel of no room and one of some, by choice of who sends and of who receives, a few senders at
/// a time; each arrives once.
fn hand_to_hand(seed: u64) {
    const NUMBERS: u64 = 100;
    let ((one, at_one), (other, at_other)) = (bounded::<Box<u64>>(0), bounded::<Box<u64>>(2));
    let (told, sums) = unbounded();
    let permits = Arc::new(Semaphore::new(2));
    let group = WaitGroup::new();
    for number in 0..3 {
        let (one, other, permits) = (one.clone(), other.clone(), permits.clone());
        let random = Random::new(seed, 40 + number);
        drop(thread::spawn_with(group.clone(), move |_| send(&one, other, &permits, random, NUMBERS)));
    }
    drop((one, other));
    for _ in 0..2 {
        let (at_one, at_other, told) = (at_one.clone(), at_other.clone(), told.clone());
        drop(thread::spawn(move || receive(&at_one, &at_other, &told)));
    }
    drop(told);
    group.wait();
    assert_eq!(sums.iter().sum::<u64>(), 3 * (0..NUMBERS).sum::<u64>());
}

fn send(
    one: &Sender<Box<u64>>,
    other: Sender<Box<u64>>,
    permits: &Semaphore,
    mut random: Random,
    numbers: u64,
) {
    let other = other.hold();
    for number in 0..numbers {
        let _permit = permits.acquire();
        let item = Box::new(number);
        match random.one_in(2) {
            true => one.send(item).expect("there are receivers"),
            false => select! {
                send(one, item) -> sent => sent.expect("there are receivers"),
                send(other, Box::new(number)) -> sent => sent.expect("there are receivers"),
            },
        }
        tools::step();
    }
}

fn receive(one: &Receiver<Box<u64>>, other: &Receiver<Box<u64>>, told: &Sender<u64>) {
    let mut sum = 0;
    loop {
        // Both are closed at the same time, but for what is still in one of them.
        let item = select! {
            recv(other) -> item => item.or_else(|_| one.recv()),
            recv(one) -> item => item.or_else(|_| other.recv()),
        };
        match item {
            Ok(item) => sum += *item,
            Err(_) => break,
        }
        tools::step();
    }
    told.send(sum).expect("somebody adds up");
}
