//! What a task holds: each lock with the line that took it, and nothing that it does not hold.
#![cfg(not(loom))]

mod common;

use std::cell::RefCell;
use std::sync::mpsc;

use common::{how_many_wait_for, until, until_waited_for, within_a_minute};
use impasse::sync::{Mutex, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard, keep_lines};
use impasse::{WaitError, thread, waiting_tasks};

/// The line at which the report of this deadlock of one task says that the lock was taken.
fn taken_at<G>(waited: Result<G, WaitError>) -> Option<u32> {
    let Err(WaitError::Deadlock(deadlock)) = waited else { panic!("the task holds the lock itself") };
    deadlock.hops()[0].taken.map(|taken| taken.line)
}

/// In one test, since the switch is the program's.
#[test]
fn each_lock_is_noted_with_the_line_that_took_it() {
    let locks: [_; 7] = std::array::from_fn(|_| Mutex::new(()));
    let mut held: Vec<_> = locks.iter().map(|lock| (lock.lock(), line!())).collect();
    let again = |at: usize| taken_at(locks[at].checked_lock());
    for (at, (_, line)) in held.iter().enumerate() {
        assert_eq!(again(at), Some(*line));
    }
    // Out of turn, those with a place of their own and those in a list.
    for at in [5, 0] {
        drop(held.remove(at));
        let (guard, line) = (locks[at].lock(), line!());
        assert_eq!(again(at), Some(line));
        held.insert(at, (guard, line));
    }
    assert_eq!(again(6), Some(held[6].1));
    drop(held);

    let table = RwLock::new(());
    let (write, line) = (table.write(), line!());
    assert_eq!(taken_at(table.checked_read()), Some(line));
    // In whatever way it is held, it was taken there.
    let read = RwLockWriteGuard::downgrade_to_upgradable(write);
    assert_eq!(taken_at(table.checked_write()), Some(line));
    let write = RwLockUpgradableReadGuard::upgrade(read);
    assert_eq!(taken_at(table.checked_read()), Some(line));
    let read = RwLockWriteGuard::downgrade(write);
    assert_eq!(taken_at(table.checked_write()), Some(line));
    drop(read);

    let lock = Mutex::new(());
    let noted = lock.lock();
    keep_lines(false);
    drop(noted);
    let _held = lock.lock();
    assert_eq!(taken_at(lock.checked_lock()), None, "that is the line of a lock which was given back");
    let _read = table.read();
    assert_eq!(taken_at(table.checked_write()), None);
    keep_lines(true);
}

/// A task that has forgotten a guard does not hold what lies in that place later.
#[test]
fn what_was_forgotten_and_is_gone_is_held_by_nobody() {
    within_a_minute(|| {
        let mut table = Box::new(RwLock::named("table", 0));
        std::mem::forget(table.read());
        *table = RwLock::named("table", 1);
        let table = &*table;
        let read = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let value = table.read();
                read.wait();
                while !waiting_tasks().iter().any(|waiting| waiting.waits_for == "lock `table`") {
                    thread::yield_now();
                }
                *value
            });
            read.wait();
            // It waits for the reader, who goes on, and not for itself.
            table.checked_write().map(|mut value| *value += 1).unwrap();
            assert_eq!(reader.join().unwrap(), 1);
        });
        assert_eq!(*table.read(), 2);
    });
}

/// Reads until it is told to go on.
struct ReadsAtTheEnd(&'static RwLock<()>, mpsc::Sender<()>, mpsc::Receiver<()>);

impl Drop for ReadsAtTheEnd {
    fn drop(&mut self) {
        let _read = self.0.read();
        self.1.send(()).unwrap();
        self.2.recv().unwrap();
    }
}

thread_local! {
    static AT_THE_END: RefCell<Option<ReadsAtTheEnd>> = const { RefCell::new(None) };
}

/// In the last moments of a thread it is no task any more. What it reads then is not put down to the task that has its
/// record by now.
#[test]
fn who_reads_when_its_task_has_ended_is_not_taken_for_another() {
    static TABLE: RwLock<()> = RwLock::const_new(());
    within_a_minute(|| {
        let ((reads, has_read), (go_on, told)) = (mpsc::channel(), mpsc::channel());
        std::thread::spawn(move || {
            // Before the thread becomes a task, and so it goes after that.
            AT_THE_END.set(Some(ReadsAtTheEnd(&TABLE, reads, told)));
            drop(Mutex::new(()).lock());
        });
        has_read.recv().unwrap();
        let lock = Mutex::named("lock", ());
        thread::scope(|scope| {
            let held = lock.lock();
            // They wait for this task, and one of them has that record.
            (0..8).for_each(|_| drop(scope.spawn(|| drop(lock.lock()))));
            until(|| how_many_wait_for("lock `lock`") == 8);
            std::thread::spawn(move || {
                until_waited_for("a lock without a name");
                go_on.send(()).unwrap();
            });
            let written = TABLE.checked_write().map(drop);
            drop(held);
            written.unwrap();
        });
    });
}
