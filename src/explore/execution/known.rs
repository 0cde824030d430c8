//! The steps that are known beforehand, since the execution before has taken them too.
//!
//! Where nobody looks at anything, nobody can tell the time of what a task does between two steps. So where the next
//! step is known, its task takes it as soon as it comes to it, and nobody else has to have come to rest: the others are
//! left alone until something is wanted of them. That saves half of the switches, and an owner finds several jobs at a
//! time.
//!
//! Whoever looks can tell: an owner that serves, for one, does what comes first. And once a wait has closed a cycle, or
//! an owner has served what somebody needs, it matters who waits at which moment. From then on everybody rests before
//! each step.

use super::fellow::Rest;
use super::{Execution, NOBODY};
use crate::explore::clock::{Clock, Clocks};
use crate::explore::dependence::Touch;
use crate::explore::mutants::{self, Mutant};

/// A step that was taken before. What has happened when it has stands among the clocks, at its place.
#[derive(Clone, Copy, Debug)]
pub(in crate::explore) struct KnownStep {
    pub(in crate::explore) task: u8,
    pub(in crate::explore) touch: Touch,
}

impl Execution {
    /// The next execution begins with these many steps: those that are known, as far as they go, and then more, each
    /// with what has happened when it has.
    pub(in crate::explore) fn knows(&self, steps: usize, more: impl Iterator<Item = (KnownStep, Clock)>) {
        let mut known = self.known.borrow_mut();
        let mut clocks = self.clocks.borrow_mut();
        known.truncate(steps);
        clocks.begin_anew(known.len());
        for (step, clock) in more {
            known.push(step);
            clocks.add(clock);
        }
        self.wants_next(&known);
    }

    /// How many of the first steps were known before.
    pub(in crate::explore) fn known(&self) -> usize {
        self.known.borrow().len()
    }

    /// Whether steps are taken before everybody has come to rest.
    pub(in crate::explore) fn is_hasty(&self) -> bool {
        self.hasty.get() && self.known() > 0
    }

    /// From now on everybody rests before each step.
    pub(super) fn be_patient(&self) {
        self.hasty.set(false);
        self.wanted.set(NOBODY);
    }

    fn wants_next(&self, known: &[KnownStep]) {
        let hasty = self.hasty.get() || mutants::is(Mutant::AlwaysHasty);
        let next = known.get(self.events.get() as usize).filter(|_| hasty);
        self.wanted.set(next.map_or(NOBODY, |step| step.task));
    }

    /// Takes the next step, if it is known to be this one.
    #[inline]
    pub(super) fn takes_known(&self, task: u8, touch: Touch) -> bool {
        if self.wanted.get() != task {
            return false;
        }
        let known = self.known.borrow();
        let event = self.events.get();
        let step = &known[event as usize];
        if step.touch != touch {
            return false;
        }
        self.takes(task);
        self.previous(touch.object, event);
        self.fellow(task).clock.set(Clocks::of_known(event));
        self.fellow(task).needed_at.borrow_mut().clear();
        self.unseen.set(0);
        self.wants_next(&known);
        true
    }

    /// The task that runs next, until all have come to rest: whose step is known to come, or whoever can.
    #[inline]
    pub(super) fn next_to_run(&self) -> Option<u8> {
        let wanted = self.wanted.get();
        if wanted == NOBODY {
            return self.ready.pop();
        }
        let fellow = self.fellow(wanted);
        match fellow.rest.get() {
            Rest::AtStep if self.takes_known(wanted, fellow.pending.get().touch) => Some(wanted),
            // It comes to another step: the search says so.
            Rest::AtStep => self.ready.pop(),
            _ => self.ready.take(wanted),
        }
    }
}
