//! Calls by one thread or by several, each timed.

use std::error::Error;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use super::cases::Case;
use super::latency;
use crate::cpu::{self, Cpu};
use crate::owners::{Driven, Subject, rounds};

/// Before a round is timed: the subject's code and data come into the caches again, and whatever it learns of
/// its partner it learns.
const WARM_UP: Load = Load { at_least: 20, time: Duration::from_millis(10) };

/// A round is as long for the slow as for the fast: beside a busy thread one call can take a whole time slice
/// of the scheduler, elsewhere 100,000 of them fit. A percentile needs some calls in any case.
const ROUND: Load = Load { at_least: 100, time: Duration::from_millis(40) };

/// As many calls as fit in this time.
struct Load {
    at_least: usize,
    time: Duration,
}

/// Where the owners and the first caller are held, if they are.
struct Placement {
    owner: Option<Cpu>,
    caller: Option<Cpu>,
}

impl Placement {
    fn of(case: Case) -> Result<Self, Box<dyn Error>> {
        let (owner, caller) = match case {
            Case::OwnCores => {
                let [first, second] = cpu::first_two()?;
                (Some(second), Some(first))
            }
            Case::Pinned | Case::PinnedBusy => {
                let [first, _] = cpu::first_two()?;
                (Some(first), Some(first))
            }
            Case::Free | Case::FourCallers | Case::Inline => (None, None),
        };
        Ok(Self { owner, caller })
    }
}

/// All rounds of a case, in this process.
pub fn measure(case: Case, subjects: &[Subject], rounds: usize) -> Result<(), Box<dyn Error>> {
    let place = Placement::of(case)?;
    let owners = subjects.iter().map(|subject| (*subject, (subject.spawn)(place.owner))).collect();
    // After the owners' threads are there, which would stand here too. And so nobody takes the machine for one
    // with a single processor: each subject finds out by itself where its partner is.
    if let Some(cpu) = place.caller {
        cpu::pin(cpu)?;
        if case == Case::PinnedBusy {
            cpu::keep_busy(cpu)?;
        }
    }
    rounds::interleaved(rounds, owners, |owner| {
        let times = if case.callers() == 1 { of_one(owner) } else { of_several(owner, case.callers()) };
        latency::metrics(times)
    })?;
    Ok(())
}

/// The times of this thread's calls, in nanoseconds.
fn of_one(owner: &dyn Driven) -> Vec<f64> {
    WARM_UP.put_on(owner);
    ROUND.put_on(owner)
}

/// The times of several threads that call at the same time.
fn of_several(owner: &dyn Driven, callers: usize) -> Vec<f64> {
    let start = Barrier::new(callers);
    thread::scope(|scope| {
        let calls = || {
            start.wait();
            of_one(owner)
        };
        let callers: Vec<_> = (0..callers).map(|_| scope.spawn(calls)).collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("no call fails")).collect()
    })
}

impl Load {
    fn put_on(&self, owner: &dyn Driven) -> Vec<f64> {
        let mut times = Vec::with_capacity(1 << 16);
        let began = Instant::now();
        // The end of one call is the beginning of the next: one look at the clock for each, not two.
        let mut last = began;
        while times.len() < self.at_least || last - began < self.time {
            black_box(owner.add(1));
            let now = Instant::now();
            times.push((now - last).as_nanos() as f64);
            last = now;
        }
        times
    }
}
