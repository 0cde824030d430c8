//! Those who wait for something, in the order in which they came.

use std::collections::VecDeque;

use super::slot::{Reader, Setter, slot};
use crate::wait::TaskId;

/// A line of waiters, each of whom is given a value.
pub(crate) struct Line<V>(VecDeque<Setter<V>>);

/// A place in a line. It is known by the slot in it and not by a number: a line that is taken as a whole and begun
/// anew would give the number of somebody who is being called to somebody who has just come.
pub(crate) struct Place<V> {
    pub(crate) given: Reader<V>,
}

impl<V> Default for Line<V> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<V> Line<V> {
    /// Gets in line, behind all others. `provider` is who gives the value, if somebody in particular does.
    pub(crate) fn join(&mut self, provider: Option<TaskId>) -> Place<V> {
        let (setter, given) = slot(provider);
        self.0.push_back(setter);
        Place { given }
    }

    /// Whoever waits longest, and is out of the line now.
    pub(crate) fn first(&mut self) -> Option<Setter<V>> {
        self.0.pop_front()
    }

    /// Leaves the line without a value; none if the value is being given by now. What is returned is to be dropped
    /// where no lock is held.
    #[must_use]
    pub(crate) fn leave(&mut self, place: &Place<V>) -> Option<Setter<V>> {
        let stands = self.0.iter().position(|setter| setter.is_of(&place.given));
        stands.and_then(|at| self.0.remove(at))
    }

    /// Whether somebody stands in it whose place is known by this address.
    pub(crate) fn has(&self, place: usize) -> bool {
        self.0.iter().any(|setter| setter.address() == place)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, if there are any; whoever comes from now on is not among them.
    #[inline]
    pub(crate) fn take_all(&mut self) -> Option<Self> {
        (!self.is_empty()).then(|| std::mem::take(self))
    }
}

impl<V> Iterator for Line<V> {
    type Item = Setter<V>;

    fn next(&mut self) -> Option<Setter<V>> {
        self.first()
    }
}

#[cfg(all(test, feature = "explore"))]
mod tests {
    use super::*;

    #[test]
    fn who_is_being_called_does_not_leave_the_place_of_who_came_after() {
        let mut line = Line::<()>::default();
        let first = line.join(None);
        let called = std::mem::take(&mut line);
        let second = line.join(None);
        assert!(line.leave(&first).is_none(), "it is not in the line any more");
        assert!(line.leave(&second).is_some(), "it still is");
        drop(called);
    }
}
