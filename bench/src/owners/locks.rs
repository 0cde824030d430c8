//! The parts written by hand: a queue under a lock, and a reply for which the caller parks. With `SPIN` both
//! sides look again and again for that many microseconds before they sleep.

use std::collections::VecDeque;
use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::parts::{Job, Parts};

/// An owner's parts, for a spin of so many microseconds.
pub struct Lock<const SPIN: u64>;

#[derive(Default)]
pub struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    filled: Condvar,
    /// For who spins: whether it is worth taking the lock.
    hint: AtomicBool,
}

/// The owner's side. It takes all that is queued at once, so that it and the senders seldom meet at the lock.
pub struct Batches {
    queue: Arc<Queue>,
    batch: VecDeque<Job>,
}

pub struct Slot {
    value: AtomicU64,
    done: AtomicBool,
    caller: Thread,
}

impl<const SPIN: u64> Parts for Lock<SPIN> {
    type Sender = Arc<Queue>;
    type Receiver = Batches;
    type Replier = Arc<Slot>;
    type Reply = Arc<Slot>;

    fn queue() -> (Arc<Queue>, Batches) {
        let queue = Arc::<Queue>::default();
        (queue.clone(), Batches { queue, batch: VecDeque::new() })
    }

    fn send(queue: &Arc<Queue>, job: Job) {
        let mut jobs = queue.jobs.lock();
        jobs.push_back(job);
        let was_empty = jobs.len() == 1;
        if SPIN > 0 && was_empty {
            queue.hint.store(true, Ordering::Relaxed);
        }
        drop(jobs);
        // The owner sleeps only while there is nothing, and takes all that there is.
        if was_empty {
            queue.filled.notify_one();
        }
    }

    fn next(Batches { queue, batch }: &mut Batches) -> Option<Job> {
        if batch.is_empty() {
            spin(SPIN, || queue.hint.load(Ordering::Relaxed));
            let mut jobs = queue.jobs.lock();
            while jobs.is_empty() {
                queue.filled.wait(&mut jobs);
            }
            std::mem::swap(&mut *jobs, batch);
            if SPIN > 0 {
                queue.hint.store(false, Ordering::Relaxed);
            }
        }
        batch.pop_front()
    }

    fn reply() -> (Arc<Slot>, Arc<Slot>) {
        let slot = Slot { value: AtomicU64::new(0), done: AtomicBool::new(false), caller: thread::current() };
        let slot = Arc::new(slot);
        (slot.clone(), slot)
    }

    fn answer(slot: Arc<Slot>, value: u64) {
        slot.value.store(value, Ordering::Relaxed);
        slot.done.store(true, Ordering::Release);
        slot.caller.unpark();
    }

    fn wait(slot: Arc<Slot>) -> u64 {
        let is_done = || slot.done.load(Ordering::Acquire);
        spin(SPIN, is_done);
        while !is_done() {
            thread::park();
        }
        slot.value.load(Ordering::Relaxed)
    }
}

/// Looks until there is something, or the time is over.
fn spin(micros: u64, there_is_something: impl Fn() -> bool) {
    if micros == 0 {
        return;
    }
    let began = Instant::now();
    while !there_is_something() && began.elapsed() < Duration::from_micros(micros) {
        hint::spin_loop();
    }
}
