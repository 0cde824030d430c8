//! Everything at once, on real threads: what was accepted runs exactly once or somebody is told, every wait ends, and
//! whoever sends jobs one after the other has them run in that order.
//!
//! `cargo test --test stress` takes a few seconds; `IMPASSE_STRESS=100` goes on for a hundred times as many rounds,
//! and `IMPASSE_STRESS_SEED` chooses what is done in them (never how the threads are scheduled). A program that makes
//! no progress for a minute is ended, with a list of who waits for whom.
//!
//! | file | what is done |
//! | --- | --- |
//! | `jobs.rs` | calls, posts, deadlines, futures and panics over several owners, which are closed meanwhile |
//! | `room.rs` | posts that wait for room in small queues, some on behalf of runs that are cancelled |
//! | `runs.rs` | runs that call back, from outside and from jobs; cancelled, timed out, settled on the owner |
//! | `locks.rs` | locks in any order, conditions and queues |
//! | `shared.rs` | locks that many read at once, items that go from hand to hand |
//! | `tasks.rs` | threads and runs that come and go, so that records of tasks are used again, while others look |
//! | `ledger.rs` | what became of each job |
//! | `tools.rs` | random numbers, an executor, the watchdog |
//!
//! It is a plain program, since the harness of the standard library gives ThreadSanitizer something to report. As
//! the package `stress/tsan` it is built with nothing but the library. What that shows: ThreadSanitizer follows
//! atomics, threads and parking_lot, which are compiled with it. It knows nothing of fences, and need not: here a
//! fence only decides which of two tasks sees the other (the heads of `src/wait/registry.rs` and `cancel.rs`), and
//! whatever is read afterwards was handed over by a store and a load or by the verdict lock. That the fences decide
//! right is shown under loom.

#[cfg(not(loom))]
mod jobs;
#[cfg(not(loom))]
mod ledger;
#[cfg(not(loom))]
mod locks;
#[cfg(not(loom))]
mod room;
#[cfg(not(loom))]
mod runs;
#[cfg(not(loom))]
mod shared;
#[cfg(not(loom))]
mod tasks;
#[cfg(not(loom))]
mod tools;

/// The models are elsewhere.
#[cfg(loom)]
fn main() {}

/// A part of the program: its name, how many rounds it has, and one of them.
#[cfg(not(loom))]
type Part = (&'static str, u64, fn(u64));

#[cfg(not(loom))]
fn main() {
    use std::time::Instant;

    if !tools::is_asked_for() {
        return;
    }
    let (rounds, seed) = (tools::from_env("IMPASSE_STRESS", 1), tools::from_env("IMPASSE_STRESS_SEED", 1));
    tools::watch(seed);
    let parts: [Part; 6] = [
        ("jobs", 24, jobs::round),
        ("room", 40, room::round),
        ("runs", 24, runs::round),
        ("locks", 24, locks::round),
        ("shared", 24, shared::round),
        ("tasks", 8, tasks::round),
    ];
    for (part, many, round) in parts {
        let (begun, before) = (Instant::now(), tools::steps());
        for number in 0..many * rounds {
            tools::begin(part, number);
            round(seed.wrapping_mul(1_000_003).wrapping_add(number));
        }
        let (steps, seconds) = (tools::steps() - before, begun.elapsed().as_secs_f64());
        println!("stress: {part}: {} rounds, {steps} steps, {seconds:.1} s", many * rounds);
    }
}
