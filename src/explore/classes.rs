//! Which class an execution belongs to, as a number; and how much of what is drawn at random has never been seen.
//!
//! Two executions are of one class if the same steps happen in them, each after the same others. So the number of a
//! step is made of the step, of the number of its task's step before it, and of the numbers of all earlier steps that
//! it depends on; and the number of a class is the sum of the numbers of its steps, whatever their order. That two
//! classes share a number by accident (one in 2^64 for each pair) is neglected.
//!
//! **The unseen.** Of `n` executions drawn, let `once` be how many showed a class that no other of them showed. Then
//! the next one shows a class that none has shown with a chance of about `once / n` (A. Turing, told by I. J. Good,
//! "The Population Frequencies of Species and the Estimation of Population Parameters", Biometrika 40, 1953). That is
//! a share of what *this way of drawing* comes to, and not of all classes: where it hardly ever comes, thousands of
//! classes may weigh nothing.

use std::collections::HashMap;
use std::fmt;

use super::clock::TASKS;
use super::dependence::{Touch, depend};
use super::search::Move;

/// The finaliser of splitmix64 (S. Vigna 2015).
pub(super) fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The number of an execution's class, as far as the execution has gone.
#[derive(Debug, Default)]
pub(super) struct Fingerprint {
    steps: Vec<u64>,
    last: [u64; TASKS],
    /// What has been done to each object, with the sum of the numbers of the steps that did it.
    done: HashMap<u32, Vec<(Touch, u64)>>,
    whole: u64,
}

impl Fingerprint {
    pub(super) fn clear(&mut self) {
        *self = Self { steps: std::mem::take(&mut self.steps), ..Self::default() };
        self.steps.clear();
    }

    /// The next step, which came after these steps of the execution too.
    pub(super) fn add(&mut self, Move { task, touch }: Move, after: impl IntoIterator<Item = u32>) {
        let others = after.into_iter().map(|step| self.steps[step as usize]);
        let mut past = others.fold(0, u64::wrapping_add);
        let done = self.done.entry(touch.object).or_default();
        for (_, sum) in done.iter().filter(|(other, _)| depend(*other, touch)) {
            past = past.wrapping_add(*sum);
        }
        let what = u64::from(touch.object) << 16 | u64::from(touch.kind as u8) << 8 | u64::from(task);
        let last = &mut self.last[task as usize];
        let number = mixed(mixed(mixed(what) ^ *last) ^ past);
        *last = number;
        match done.iter_mut().find(|(other, _)| *other == touch) {
            Some((_, sum)) => *sum = sum.wrapping_add(number),
            None => done.push((touch, number)),
        }
        self.steps.push(number);
        self.whole = self.whole.wrapping_add(number);
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
        let again = self.again.insert(class, self.again.contains_key(&class));
        match again {
            None => self.once += 1,
            Some(false) => self.once -= 1,
            Some(true) => {}
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
