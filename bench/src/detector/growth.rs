//! What is left of locks and threads that are gone: every record is used again.

use impasse::sync::{Mutex, RwLock};
use impasse::thread;

use crate::heap;

/// Ten million locks, of both kinds, each taken while another is held.
pub fn locks() -> isize {
    growth(10_000_000, |number| {
        let outer = RwLock::new(number);
        let inner = Box::new(Mutex::new(0));
        let read = outer.read();
        *inner.lock() += *read;
    })
}

/// A million threads, each with a lock of its own.
pub fn threads() -> isize {
    growth(1_000_000, |number| {
        let lock = Mutex::new(number);
        thread::spawn(move || *lock.lock() += 1).join().expect("it does not panic");
    })
}

/// By how much the heap has grown between a tenth of the way and the end.
fn growth(times: u64, once: impl Fn(u64)) -> isize {
    heap::count();
    (0..times / 10).for_each(&once);
    let before = heap::live();
    (times / 10..times).for_each(&once);
    heap::live() - before
}
