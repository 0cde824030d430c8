//! What is asked of an owner, and the loads that a measurement puts on it.

use std::fmt;
use std::hint::black_box;

use crate::cpu::Cpu;

/// A thread with a number as its state.
pub trait Owner: Send + Sync + Sized + 'static {
    /// Starts the thread, held on a processor or free to move.
    fn spawn(cpu: Option<Cpu>) -> Self;

    /// Runs `job` on the owner and waits for what it returns.
    fn call(&self, job: impl FnOnce(&mut u64) -> u64 + Send + 'static) -> u64;

    /// Queues `job` and goes on.
    fn post(&self, job: impl FnOnce(&mut u64) + Send + 'static);
}

/// The loads. Every subject gets closures of the same text and size, and a loop over posts has the subject's
/// own code inlined into it, as a program's would.
pub trait Driven: Send + Sync {
    /// One round trip: adds to the state, and brings back what it is now.
    fn add(&self, n: u64) -> u64;

    /// Posts that each add up what they captured.
    fn post_captures(&self, capture: Capture, posts: u64);

    /// One post of whatever kind.
    fn post_job(&self, job: Box<dyn FnOnce() + Send>);
}

/// How many bytes the closure of a post carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    Bytes8,
    Bytes40,
    Bytes120,
}

impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes8 => "8",
            Self::Bytes40 => "40",
            Self::Bytes120 => "120",
        })
    }
}

impl<O: Owner> Driven for O {
    fn add(&self, n: u64) -> u64 {
        self.call(move |state| {
            *state = state.wrapping_add(n);
            *state
        })
    }

    fn post_captures(&self, capture: Capture, posts: u64) {
        match capture {
            Capture::Bytes8 => post_words::<1, O>(self, posts),
            Capture::Bytes40 => post_words::<5, O>(self, posts),
            Capture::Bytes120 => post_words::<15, O>(self, posts),
        }
    }

    fn post_job(&self, job: Box<dyn FnOnce() + Send>) {
        self.post(move |_| job());
    }
}

fn post_words<const WORDS: usize, O: Owner>(owner: &O, posts: u64) {
    for n in 0..posts {
        // Opaque on both sides: words that are known to be equal would be captured as one.
        let words = black_box([n; WORDS]);
        let job = move |state: &mut u64| {
            let sum = black_box(&words).iter().fold(0, |sum: u64, word| sum.wrapping_add(*word));
            *state = state.wrapping_add(sum);
        };
        assert_eq!(size_of_val(&job), 8 * WORDS);
        owner.post(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owners::Subject;

    /// What a bench compares must be the same work.
    #[test]
    fn every_owner_runs_every_job_in_order() {
        for subject in Subject::all() {
            let owner = (subject.spawn)(None);
            assert_eq!(owner.add(2), 2, "{subject}");
            for (capture, words) in [(Capture::Bytes8, 1), (Capture::Bytes40, 5), (Capture::Bytes120, 15)] {
                let before = owner.add(0);
                owner.post_captures(capture, 1_000);
                assert_eq!(owner.add(0) - before, words * (0..1_000).sum::<u64>(), "{subject}, {capture}");
            }
            let (sent, received) = std::sync::mpsc::channel();
            owner.post_job(Box::new(move || sent.send(()).unwrap()));
            received.recv().unwrap_or_else(|_| panic!("{subject} dropped a job"));
        }
    }
}
