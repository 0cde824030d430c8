//! The tracked primitives, on real threads: each does what the one does that it replaces.
#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::within_a_minute;
use impasse::sync::channel::{
    self, RecvError, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError, bounded, select,
    unbounded,
};
use impasse::sync::{
    Barrier, Condvar, LazyLock, Mutex, Once, OnceLock, PromiseError, RwLock, RwLockUpgradableReadGuard,
    RwLockWriteGuard, Semaphore, WaitGroup, promise,
};
use impasse::thread;
use impasse::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_lock_of_a_static_and_of_a_part() {
    static LOCK: Mutex<(u32, u32)> = Mutex::const_new((1, 2));
    let mut part = impasse::sync::MutexGuard::map(LOCK.lock(), |pair| &mut pair.1);
    *part += 40;
    assert!(LOCK.try_lock().is_none());
    drop(part);
    assert_eq!(*LOCK.lock(), (1, 42));
}

#[test]
fn a_lock_that_is_not_free_in_time() {
    within_a_minute(|| {
        let lock = Arc::new(Mutex::new(1));
        let held = lock.lock();
        let other = lock.clone();
        let late = thread::spawn(move || other.try_lock_for(SHORT).is_none());
        assert!(late.join().unwrap());
        drop(held);
        assert!(lock.try_lock_for(SHORT).is_some());
    });
}

#[test]
fn readers_share_and_writers_do_not() {
    within_a_minute(|| {
        let lock = Arc::new(RwLock::new(0_u64));
        let (readers, together) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..6)
            .map(|index| {
                let (lock, readers, together) = (lock.clone(), readers.clone(), together.clone());
                thread::spawn(move || {
                    for _ in 0..3_000 {
                        if index < 2 {
                            let mut value = lock.write();
                            assert_eq!(readers.load(Ordering::SeqCst), 0);
                            *value += 1;
                        } else {
                            let value = lock.read();
                            let now = readers.fetch_add(1, Ordering::SeqCst) + 1;
                            together.fetch_max(now, Ordering::SeqCst);
                            assert!(*value <= 6_000);
                            readers.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*lock.read(), 6_000);
        assert!(!lock.is_locked());
    });
}

#[test]
fn two_readers_at_once() {
    within_a_minute(|| {
        let lock = RwLock::new(1);
        let (first, second) = (lock.read(), lock.try_read());
        assert_eq!(*first + *second.unwrap(), 2);
        assert!(lock.try_write().is_none());
        assert!(lock.try_write_for(SHORT).is_none());
        drop(first);
        assert!(lock.try_write().is_some());
    });
}

#[test]
fn a_read_becomes_a_write_and_a_read_again() {
    within_a_minute(|| {
        let lock = Arc::new(RwLock::new(1));
        let upgradable = lock.upgradable_read();
        assert_eq!(*lock.read(), 1, "other readers go on");
        assert!(lock.try_upgradable_read().is_none(), "there is one upgradable reader");
        let mut write = RwLockUpgradableReadGuard::upgrade(upgradable);
        *write += 1;
        assert!(lock.try_read().is_none());
        let read = RwLockWriteGuard::downgrade(write);
        assert_eq!((*read, *lock.read()), (2, 2));
        drop(read);
        let upgradable = RwLockWriteGuard::downgrade_to_upgradable(lock.write());
        let waits = lock.clone();
        let writer = thread::spawn(move || *waits.write() += 1);
        let mut write = RwLockUpgradableReadGuard::upgrade(upgradable);
        *write *= 10;
        drop(write);
        writer.join().unwrap();
        assert_eq!(*lock.read(), 21);
    });
}

#[test]
fn who_reads_behind_a_writer_comes_after_it() {
    within_a_minute(|| {
        let lock = Arc::new(RwLock::named("in order", Vec::new()));
        let held = lock.read();
        let (writes, reads) = (lock.clone(), lock.clone());
        let writer = thread::spawn(move || writes.write().push(1));
        // In line, and not only on its way there.
        common::until(|| lock.try_read().is_none());
        let reader = thread::spawn(move || reads.read().clone());
        common::until(|| common::how_many_wait_for("lock `in order`") == 2);
        drop(held);
        assert_eq!(reader.join().unwrap(), [1]);
        writer.join().unwrap();
    });
}

#[test]
fn a_condition_is_waited_for_with_the_guard() {
    within_a_minute(|| {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let other = pair.clone();
        let counter = thread::spawn(move || {
            for _ in 0..100 {
                *other.0.lock() += 1;
                other.1.notify_all();
            }
        });
        let mut count = pair.0.lock();
        pair.1.wait_while(&mut count, |count| *count < 100);
        assert_eq!(*count, 100);
        assert!(pair.1.wait_for(&mut count, SHORT).timed_out());
        assert!(pair.0.try_lock().is_none(), "the lock is held again");
        drop(count);
        counter.join().unwrap();
    });
}

#[test]
fn items_come_in_order_and_the_end_after_them() {
    within_a_minute(|| {
        for capacity in [None, Some(0), Some(1), Some(7)] {
            let (sender, receiver) = capacity.map_or_else(unbounded, bounded);
            let sends = thread::spawn(move || {
                for item in 0..1_000 {
                    sender.send(item).unwrap();
                }
            });
            assert!(receiver.iter().eq(0..1_000), "{capacity:?}");
            assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
            sends.join().unwrap();
        }
    });
}

#[test]
fn every_item_arrives_once_among_many() {
    within_a_minute(|| {
        for capacity in [None, Some(0), Some(3)] {
            let (sender, receiver) = capacity.map_or_else(unbounded::<u64>, bounded);
            let senders: Vec<_> = (0..4)
                .map(|number| {
                    let sender = sender.clone();
                    thread::spawn(move || (0..500).for_each(|item| sender.send(number * 500 + item).unwrap()))
                })
                .collect();
            let receivers: Vec<_> = (0..3)
                .map(|_| {
                    let receiver = receiver.clone();
                    thread::spawn(move || receiver.into_iter().sum::<u64>())
                })
                .collect();
            drop((sender, receiver));
            senders.into_iter().for_each(|thread| thread.join().unwrap());
            let sum: u64 = receivers.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(sum, (0..2_000).sum::<u64>(), "{capacity:?}");
        }
    });
}

#[test]
fn an_item_that_was_not_sent_is_given_back() {
    within_a_minute(|| {
        let (sender, receiver) = bounded(1);
        sender.send("one").unwrap();
        assert!(sender.is_full());
        assert_eq!(sender.try_send("two"), Err(TrySendError::Full("two")));
        assert_eq!(sender.send_timeout("two", SHORT), Err(SendTimeoutError::Timeout("two")));
        assert_eq!(receiver.recv_timeout(SHORT), Ok("one"));
        assert_eq!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        drop(receiver);
        assert_eq!(sender.send("two").unwrap_err().into_inner(), "two");
        assert_eq!(sender.try_send("two"), Err(TrySendError::Disconnected("two")));
    });
}

#[test]
fn nobody_is_left_while_one_waits() {
    within_a_minute(|| {
        let ((sender, receiver), line) = (bounded::<u32>(0), line!());
        let waits = thread::spawn(move || sender.send(1));
        common::until_waited_for(&format!("room in the channel made at tests/primitives.rs:{line}"));
        drop(receiver);
        assert_eq!(waits.join().unwrap().unwrap_err().into_inner(), 1);

        let ((sender, receiver), line) = (bounded::<u32>(0), line!());
        let waits = thread::spawn(move || receiver.recv());
        common::until_waited_for(&format!("an item of the channel made at tests/primitives.rs:{line}"));
        drop(sender);
        assert_eq!(waits.join().unwrap(), Err(RecvError::Disconnected));
    });
}

#[test]
fn a_choice_does_what_can_be_done() {
    within_a_minute(|| {
        let (numbers, number) = unbounded::<u32>();
        let (words, word) = bounded::<&str>(1);
        let choose = |time: Duration| {
            select! {
                recv(number) -> got => format!("{got:?}"),
                recv(word) -> got => {
                    format!("{got:?}")
                }
                default(time) => "late".into(),
            }
        };
        assert_eq!(choose(SHORT), "late");
        words.send("hello").unwrap();
        assert_eq!(choose(SHORT), "Ok(\"hello\")");
        numbers.send(1).unwrap();
        words.send("again").unwrap();
        assert_eq!(choose(SHORT), "Ok(1)", "the first that can be");
        let sent = select! {
            send(words, "full") -> sent => sent.is_ok(),
            default => false,
        };
        assert!(!sent);
        assert_eq!(word.try_recv(), Ok("again"));
        drop(numbers);
        assert_eq!(choose(SHORT), "Err(Disconnected)");
    });
}

/// Senders and receivers that all choose among the same channels of no room: each item arrives once.
#[test]
fn choices_meet_choices() {
    within_a_minute(|| {
        let (a, from_a) = bounded::<u64>(0);
        let (b, from_b) = bounded::<u64>(0);
        let senders: Vec<_> = (0..3_u64)
            .map(|number| {
                let (a, b) = (a.clone(), b.clone());
                thread::spawn(move || {
                    for item in 0..1_000 {
                        let item = number * 1_000 + item;
                        select! {
                            send(a, item) -> sent => sent.unwrap(),
                            send(b, item) -> sent => sent.unwrap(),
                        }
                    }
                })
            })
            .collect();
        drop((a, b));
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let (from_a, from_b) = (from_a.clone(), from_b.clone());
                thread::spawn(move || {
                    let mut sum = 0;
                    loop {
                        let got = select! {
                            recv(from_b) -> got => got,
                            recv(from_a) -> got => got,
                        };
                        match got {
                            Ok(item) => sum += item,
                            Err(_) => return sum,
                        }
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|thread| thread.join().unwrap());
        let sum: u64 = receivers.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(sum, (0..3_000).sum::<u64>());
    });
}

#[test]
fn permits_are_taken_and_given_back_in_order() {
    within_a_minute(|| {
        let permits = Arc::new(Semaphore::new(3));
        let inside = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..6)
            .map(|index| {
                let (permits, inside) = (permits.clone(), inside.clone());
                thread::spawn(move || {
                    for _ in 0..500 {
                        let many = 1 + index % 3;
                        let _permit = permits.acquire_many(many);
                        assert!(inside.fetch_add(many, Ordering::SeqCst) + many <= 3);
                        inside.fetch_sub(many, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(permits.available_permits(), 3);
        permits.acquire().forget();
        assert_eq!(permits.available_permits(), 2);
        permits.add_permits(1);
        assert_eq!(permits.available_permits(), 3);
    });
}

#[test]
fn each_round_of_a_barrier_has_one_leader() {
    within_a_minute(|| {
        let barrier = Arc::new(Barrier::new(4));
        let leaders = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (barrier, leaders) = (barrier.clone(), leaders.clone());
                thread::spawn(move || {
                    for round in 0..200 {
                        leaders.fetch_add(usize::from(barrier.wait().is_leader()), Ordering::SeqCst);
                        barrier.wait();
                        assert_eq!(leaders.load(Ordering::SeqCst), round + 1);
                        barrier.wait();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_group_is_waited_for() {
    within_a_minute(|| {
        let group = WaitGroup::new();
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..8 {
            let done = done.clone();
            drop(thread::spawn_with(group.clone(), move |_one| done.fetch_add(1, Ordering::SeqCst)));
        }
        group.wait();
        assert_eq!(done.load(Ordering::SeqCst), 8);
        WaitGroup::new().wait();
    });
}

#[test]
fn something_is_done_once() {
    within_a_minute(|| {
        let (once, value) = (Arc::new(Once::new()), Arc::new(OnceLock::new()));
        let made = Arc::new(AtomicUsize::new(0));
        let lazy = {
            let made = made.clone();
            Arc::new(LazyLock::new(move || made.fetch_add(1, Ordering::SeqCst)))
        };
        thread::scope(|scope| {
            for index in 0..4 {
                let (once, value, made, lazy) = (&once, &value, &made, &lazy);
                scope.spawn(move || {
                    once.call_once(|| _ = made.fetch_add(1, Ordering::SeqCst));
                    assert!(once.is_completed());
                    assert!(*value.get_or_init(|| index) < 4);
                    let _: usize = ***lazy;
                });
            }
        });
        assert_eq!(made.load(Ordering::SeqCst), 2);
        assert_eq!(value.set(7), Err(7));
    });
}

#[test]
fn a_maker_that_panics_leaves_its_place_to_another() {
    within_a_minute(|| {
        let value = Arc::new(OnceLock::new());
        let makes = value.clone();
        assert!(thread::spawn(move || *makes.get_or_init(|| panic!("no"))).join().is_err());
        assert_eq!(*value.get_or_init(|| 42), 42);
    });
}

#[test]
fn a_promise_is_kept_or_abandoned() {
    within_a_minute(|| {
        let (answer, resolver) = promise();
        thread::spawn_with(resolver, |held| held.resolve(42));
        assert_eq!(answer.wait(), Ok(42));

        let (answer, resolver) = promise::<u32>();
        thread::spawn(move || drop(resolver));
        assert!(matches!(answer.wait(), Err(PromiseError::Abandoned(_))));

        // Forgotten, and let go all the same when its task ends.
        let (answer, resolver) = promise::<u32>();
        thread::spawn_with(resolver, std::mem::forget);
        assert!(matches!(answer.wait(), Err(PromiseError::Abandoned(_))));

        let (answer, resolver) = promise();
        let answer = answer.wait_timeout(SHORT).unwrap().unwrap_err();
        resolver.resolve(1);
        assert_eq!(answer.wait_timeout(SHORT).unwrap().unwrap(), 1);
    });
}

#[test]
fn a_sender_that_was_forgotten_goes_with_its_task() {
    within_a_minute(|| {
        let (sender, receiver) = unbounded::<u32>();
        thread::spawn_with(sender, |held| {
            held.send(1).unwrap();
            std::mem::forget(held);
        });
        assert!(receiver.iter().eq([1]));
    });
}

#[test]
fn who_is_parked_goes_on_when_told_so_before_or_after() {
    within_a_minute(|| {
        let (goes_on, gone_on) = unbounded();
        let parked = thread::spawn(move || {
            thread::park();
            goes_on.send(()).unwrap();
            thread::park();
            thread::current()
        });
        parked.thread().unpark();
        gone_on.recv().unwrap();
        common::until_waited_for("somebody to unpark it");
        parked.thread().unpark();
        let thread = parked.thread().clone();
        assert_eq!(parked.join().unwrap(), thread);
        let before = Instant::now();
        thread::park_timeout(SHORT);
        thread::sleep(SHORT);
        assert!(before.elapsed() >= SHORT);
    });
}

#[test]
fn threads_of_a_scope_borrow_and_are_waited_for() {
    within_a_minute(|| {
        let mut numbers = [1, 2, 3, 4];
        let sum = thread::scope(|scope| {
            let (left, right) = numbers.split_at_mut(2);
            let left = scope.spawn(move || {
                left[0] = 10;
                left.iter().sum::<i32>()
            });
            scope.spawn(|| {
                scope.spawn(|| right[1] = 40);
            });
            left.join().unwrap()
        });
        assert_eq!((sum, numbers), (12, [10, 2, 3, 40]));
        let panics = std::panic::catch_unwind(|| {
            thread::scope(|scope| drop(scope.spawn(|| panic!("of a thread"))));
        });
        assert!(panics.is_err());
        thread::scope(|scope| assert!(scope.spawn(|| panic!("told by joining")).join().is_err()));
    });
}

#[test]
fn a_pool_does_all_that_is_queued() {
    within_a_minute(|| {
        let pool = thread::Pool::new("crunch", 3).unwrap();
        let work: Vec<_> = (0..100).map(|number| pool.spawn(move || number * 2)).collect();
        let sum: i32 = work.into_iter().map(|work| work.wait().unwrap()).sum();
        assert_eq!(sum, 9_900);
        let done = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let done = done.clone();
            drop(pool.spawn(move || done.fetch_add(1, Ordering::SeqCst)));
        }
        pool.join().unwrap();
        assert_eq!(done.load(Ordering::SeqCst), 50);
    });
}

#[test]
fn several_threads_are_joined_at_once() {
    within_a_minute(|| {
        let threads: Vec<_> = (0..5).map(|number| thread::spawn(move || number)).collect();
        assert_eq!(thread::join_all(threads).unwrap(), [0, 1, 2, 3, 4]);
    });
}

#[test]
fn a_channel_of_std_by_its_name() {
    let (sender, receiver) = channel::channel();
    sender.send(1).unwrap();
    assert_eq!((receiver.len(), receiver.capacity()), (1, None));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1]);
}
