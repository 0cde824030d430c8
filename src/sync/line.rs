//! Those who wait for something, in the order in which they came.

use std::collections::VecDeque;

use super::slot::{Reader, Setter, slot};
use crate::wait::TaskId;

/// A line of waiters, each of whom is given a value.
pub(crate) struct Line<V> {
    waiting: VecDeque<(u64, Setter<V>)>,
    next: u64,
}

/// A place in a line.
pub(crate) struct Place<V> {
    number: u64,
    pub(crate) given: Reader<V>,
}

impl<V> Default for Line<V> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), next: 0 }
    }
}

impl<V> Line<V> {
    /// Gets in line, behind all others. `provider` is who gives the value, if somebody in particular does.
    pub(crate) fn join(&mut self, provider: Option<TaskId>) -> Place<V> {
        let (setter, given) = slot(provider);
        let number = self.next;
        self.next += 1;
        self.waiting.push_back((number, setter));
        Place { number, given }
    }

    /// Whoever waits longest, and is out of the line now.
    pub(crate) fn first(&mut self) -> Option<Setter<V>> {
        self.waiting.pop_front().map(|(_, setter)| setter)
    }

    /// Leaves the line without a value; none if the value is being given by now. What is returned is to be dropped
    /// where no lock is held.
    #[must_use]
    pub(crate) fn leave(&mut self, place: &Place<V>) -> Option<Setter<V>> {
        let stands = self.waiting.iter().position(|(number, _)| *number == place.number);
        stands.and_then(|at| self.waiting.remove(at)).map(|(_, setter)| setter)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl<V> Iterator for Line<V> {
    type Item = Setter<V>;

    fn next(&mut self) -> Option<Setter<V>> {
        self.first()
    }
}
