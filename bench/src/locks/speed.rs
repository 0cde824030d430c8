//! Nanoseconds for taking a lock and giving it back.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::cpu;
use crate::rows::Metrics;

/// How often in one round, by one that takes nanoseconds.
pub const TIMES: u32 = 200_000;

/// A lock around a number.
pub trait Lock: Sync {
    fn add(&self);

    /// Adds to the other one with both held.
    fn add_both(&self, other: &Self);
}

/// A lock around a number that many may read.
pub trait Shared: Sync {
    fn read(&self) -> u64;
}

fn nanoseconds(each: f64) -> Metrics {
    Metrics::from([("median_ns".to_owned(), each)])
}

/// One thread does it again and again.
fn alone(times: u32, body: impl Fn()) -> Metrics {
    (0..times / 20).for_each(|_| body());
    let began = Instant::now();
    (0..times).for_each(|_| body());
    nanoseconds(began.elapsed().as_nanos() as f64 / f64::from(times))
}

/// Two threads do it at once, each on its own processor; the time of one of them for one.
fn by_two(times: u32, body: impl Fn() + Sync) -> Metrics {
    let cpus = cpu::first_two().ok();
    let start = Barrier::new(2);
    let elapsed = thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|index| {
                let (start, body) = (&start, &body);
                scope.spawn(move || {
                    if let Some(cpus) = cpus {
                        cpu::pin(cpus[index]).expect("it may run there");
                    }
                    start.wait();
                    (0..times / 20).for_each(|_| body());
                    start.wait();
                    let began = Instant::now();
                    (0..times).for_each(|_| body());
                    began.elapsed()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it ends")).max().expect("there are two")
    });
    nanoseconds(elapsed.as_nanos() as f64 / f64::from(times))
}

pub fn uncontended(times: u32, lock: &impl Lock) -> Metrics {
    alone(times, || lock.add())
}

pub fn nested<L: Lock>(times: u32, outer: &L, inner: &L) -> Metrics {
    alone(times, || outer.add_both(inner))
}

pub fn contended(times: u32, lock: &impl Lock) -> Metrics {
    by_two(times, || {
        lock.add();
        // Something is done between two times.
        (0..20_u64).for_each(|step| _ = black_box(step));
    })
}

pub fn read_by_one(times: u32, lock: &impl Shared) -> Metrics {
    alone(times, || _ = black_box(lock.read()))
}

pub fn read_by_two(times: u32, lock: &impl Shared) -> Metrics {
    by_two(times, || _ = black_box(lock.read()))
}
