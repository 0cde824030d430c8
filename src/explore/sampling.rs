//! Guides that try some interleavings, and claim nothing about the others.

use std::fmt;

use super::classes::{Fingerprint, mixed};
use super::execution::{Execution, Guide};
use super::search::Move;

/// A small random number generator (xorshift64*, G. Marsaglia 2003): the same numbers for the same seed, for ever.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Seeds that differ in one bit give unlike sequences.
        Self(mixed(seed) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((high * bound as u64) >> 32) as usize
    }

    fn one_of(&mut self, tasks: u32) -> u8 {
        let mut rest = tasks;
        for _ in 0..self.below(tasks.count_ones() as usize) {
            rest &= rest - 1;
        }
        rest.trailing_zeros() as u8
    }
}

/// How interleavings are picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pick {
    /// Every enabled task is as likely as any other.
    Random,
    /// Random priorities, which change at this many random steps less one.
    Priorities(usize),
    /// A task goes on until it cannot, but for this many random steps.
    Preemptions(usize),
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => write!(f, "a random walk"),
            Self::Priorities(depth) => write!(f, "probabilistic concurrency testing of depth {depth}"),
            Self::Preemptions(1) => write!(f, "a random execution with one preemption"),
            Self::Preemptions(bound) => write!(f, "a random execution with {bound} preemptions"),
        }
    }
}

/// Probabilistic concurrency testing (S. Burckhardt, P. Kothari, M. Musuvathi and S. Nagarakatte, "A Randomized
/// Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010), preemption bounding (M. Musuvathi and
/// S. Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", PLDI 2007; here by
/// chance and not exhaustively), or plain random walks.
#[derive(Debug)]
pub(super) struct Sampler {
    pick: Pick,
    random: Random,
    /// The longest execution so far: where changes may fall.
    length: usize,
    limit: usize,
    priorities: [usize; 32],
    changes: Vec<usize>,
    last: Option<u8>,
    pub(super) taken: Vec<u8>,
    /// The step being taken, the one before it on the same object, and those that gave its task work while it was
    /// about to look for it.
    step: Option<(Move, u32, Vec<u32>)>,
    pub(super) fingerprint: Fingerprint,
    pub(super) too_long: bool,
}

impl Sampler {
    pub(super) fn new(pick: Pick, seed: u64, limit: usize) -> Self {
        let random = Random::new(seed);
        Self {
            pick,
            random,
            length: 1,
            limit,
            priorities: [0; 32],
            changes: Vec::new(),
            last: None,
            taken: Vec::new(),
            step: None,
            fingerprint: Fingerprint::default(),
            too_long: false,
        }
    }

    /// Before each execution; the pick may change from one to the next.
    pub(super) fn begin(&mut self, pick: Pick) {
        self.pick = pick;
        // Changes after the end of most executions would be wasted.
        self.length = self.taken.len().max(1);
        self.taken.clear();
        self.fingerprint.clear();
        self.too_long = false;
        self.last = None;
        // Low priorities are for the tasks that a change lowers.
        self.priorities = std::array::from_fn(|_| 1000 + self.random.below(1 << 30));
        let changes = match pick {
            Pick::Random => 0,
            Pick::Priorities(depth) => depth.saturating_sub(1),
            Pick::Preemptions(bound) => bound,
        };
        self.changes = (0..changes).map(|_| self.random.below(self.length)).collect();
    }

    fn highest(&self, enabled: u32) -> u8 {
        let tasks = (0..32u8).filter(|task| enabled >> task & 1 == 1);
        tasks.max_by_key(|task| self.priorities[*task as usize]).expect("somebody is enabled")
    }
}

impl Guide for Sampler {
    fn choose(&mut self, execution: &Execution, enabled: u32) -> Option<u8> {
        let at = self.taken.len();
        if at >= self.limit {
            self.too_long = true;
            return None;
        }
        let task = match self.pick {
            Pick::Random => self.random.one_of(enabled),
            Pick::Priorities(_) => {
                for (rank, _) in self.changes.iter().enumerate().filter(|(_, change)| **change == at) {
                    let lowered = self.highest(enabled);
                    self.priorities[lowered as usize] = rank;
                }
                self.highest(enabled)
            }
            Pick::Preemptions(_) => {
                let same = self.last.filter(|task| enabled >> task & 1 == 1);
                let others = same.map_or(enabled, |task| enabled & !(1 << task));
                match same {
                    Some(task) if others == 0 || !self.changes.contains(&at) => task,
                    _ => self.random.one_of(others),
                }
            }
        };
        self.last = Some(task);
        self.taken.push(execution.ordinal(task));
        let touch = execution.pending(task);
        let previous = execution.previous(touch.object, at as u32);
        self.step = Some((Move { task, touch }, previous, execution.needed_at(task)));
        Some(task)
    }

    fn taken(&mut self, execution: &Execution, _: u8) {
        if let Some((step, previous, mut others)) = self.step.take() {
            execution.closed_with(&mut others);
            self.fingerprint.add(step, previous, others);
        }
    }
}
