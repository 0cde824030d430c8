//! Which class an execution belongs to, as a number; and how much of what is drawn at random has never been seen.
//!
//! Two executions are of one class if the same steps happen in them, each after the same others. So the number of a
//! step is made of the step and of its clock, which counts what has to have happened before it; and the number of a
//! class is the sum of the numbers of its steps, whatever their order. That two classes share a number by accident (one
//! in 2^64 for each pair) is neglected.
//!
//! **The unseen.** Of `n` executions drawn, let `once` be how many showed a class that no other of them showed. Then
//! the next one shows a class that none has shown with a chance of about `once / n` (A. Turing, told by I. J. Good,
//! "The Population Frequencies of Species and the Estimation of Population Parameters", Biometrika 40, 1953). That is
//! a share of what *this way of drawing* comes to, and not of all classes: where it hardly ever comes, thousands of
//! classes may weigh nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use super::clock::{Clock, TASKS};
use super::dependence::{Touch, depend};
use super::execution::NONE;
use super::search::Move;

/// The finaliser of splitmix64 (S. Vigna 2015).
pub(super) fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The number of an execution's class, as far as the execution has gone.
#[derive(Debug)]
pub(super) struct Fingerprint {
    steps: Vec<Done>,
    last: [Clock; TASKS],
    whole: u64,
}

/// A step that was taken.
#[derive(Debug)]
struct Done {
    touch: Touch,
    /// What has happened when it has.
    clock: Clock,
    /// The step before it on the same object.
    previous: u32,
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self { steps: Vec::new(), last: [Clock::ZERO; TASKS], whole: 0 }
    }
}

impl Fingerprint {
    pub(super) fn clear(&mut self) {
        self.steps.clear();
        (self.last, self.whole) = ([Clock::ZERO; TASKS], 0);
    }

    /// The next step; the one before it on the same object; and others that it came after.
    pub(super) fn add(
        &mut self,
        Move { task, touch }: Move,
        previous: u32,
        after: impl IntoIterator<Item = u32>,
    ) {
        let mut clock = self.last[task as usize];
        after.into_iter().for_each(|step| clock.join(&self.steps[step as usize].clock));
        let mut at = previous;
        while at != NONE {
            let earlier = &self.steps[at as usize];
            if depend(earlier.touch, touch) {
                clock.join(&earlier.clock);
                // What this step depends on, an earlier one of its kind depends on too.
                if earlier.touch.kind == touch.kind {
                    break;
                }
            }
            at = earlier.previous;
        }
        clock.tick(task);
        self.last[task as usize] = clock;
        self.steps.push(Done { touch, clock, previous });
        let what = u64::from(touch.object) << 16 | u64::from(touch.kind as u8) << 8 | u64::from(task);
        let with =
            |number: u64, word: u64| (number ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        self.whole = self.whole.wrapping_add(mixed(clock.words().fold(mixed(what), with)));
    }

    pub(super) fn of_class(&self) -> u64 {
        self.whole
    }
}

/// The classes among executions that were drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawn {
    executions: u64,
    once: u64,
    /// Whether the class was shown a second time.
    again: HashMap<u64, bool>,
}

impl Drawn {
    pub(super) fn add(&mut self, class: u64) {
        self.executions += 1;
        match self.again.entry(class) {
            Entry::Vacant(first) => {
                first.insert(false);
                self.once += 1;
            }
            Entry::Occupied(mut again) => self.once -= u64::from(!again.insert(true)),
        }
    }

    /// It is known now that more can be told apart than was: what was seen before is not to be compared.
    pub(super) fn begin_anew(&mut self) {
        *self = Self::default();
    }

    pub(super) fn executions(&self) -> u64 {
        self.executions
    }

    pub(super) fn classes(&self) -> u64 {
        self.again.len() as u64
    }

    /// The chance that the next execution shows a class that none has shown.
    pub(super) fn unseen(&self) -> f64 {
        if self.executions == 0 { 1.0 } else { self.once as f64 / self.executions as f64 }
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (classes, unseen) = (self.classes(), self.unseen());
        write!(
            f,
            "{classes} classes, an unseen one comes next with a chance of about {unseen:.3} (Good-Turing)"
        )
    }
}
