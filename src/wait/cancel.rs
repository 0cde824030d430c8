//! Ending the waits of everything that acts on behalf of one run.
//!
//! A run's [`Cancel`] goes along with its lineage. Whoever waits on behalf of a cancelled run is refused at the
//! door or, if it waits already, woken and leaves. The two cannot miss each other:
//!
//! ```text
//!   waiter                          canceller
//!   waiting = its wait              cancelled = true
//!   fence(SeqCst)                   fence(SeqCst), at the beginning of a look
//!   if cancelled { leave }          wake all that are seen to wait on this behalf
//! ```

use std::fmt;
use std::sync::Arc;

use super::deadlock::Deadlock;
use super::op::Op;
use super::registry;
use super::scheduler::{Kind, Object, StampCell};
use super::task::Called;
use crate::platform::atomic::{AtomicU8, Ordering};
use crate::platform::{Bug, seeded};

/// What was to be done is not wanted any more: its run was cancelled, or the owner of its session was closed.
#[derive(Clone)]
pub struct Cancelled(Option<Arc<Called>>);

impl Cancelled {
    /// What a wait returns when the execution that it belongs to is coming to its end. Only inside an
    /// exploration.
    pub(crate) const fn ended() -> Self {
        Self(None)
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(run) => write!(f, "{run} was cancelled"),
            None => f.write_str("the execution that the explorer tried is coming to its end"),
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cancelled({self})")
    }
}

impl PartialEq for Cancelled {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Cancelled {}

impl std::error::Error for Cancelled {}

/// Why a wait ended without what was waited for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It would have closed a cycle.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
    /// The run on whose behalf it waited was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl WaitError {
    /// The deadlock, if it is one.
    #[must_use]
    pub fn deadlock(self) -> Option<Deadlock> {
        match self {
            Self::Deadlock(deadlock) => Some(deadlock),
            Self::Cancelled(_) => None,
        }
    }
}

/// Whether a run is cancelled, and the run that it is part of.
///
/// ```text
///   LIVE --- cancel ---> CANCELLED --- end ---> ENDED | CANCELLED   whatever it answers
///     | `--- close ----> CLOSED ------ end ---> ENDED | CLOSED      the same, since its owner was closed
///     `------- end ----> ENDED                                      it has answered: too late to cancel
/// ```
pub(crate) struct Cancel {
    state: AtomicU8,
    pub(super) object: Object,
    /// What had happened when it was cancelled.
    cancelled: StampCell,
    run: Arc<Called>,
    outer: Option<Arc<Self>>,
}

const LIVE: u8 = 0;
const CANCELLED: u8 = 1;
const CLOSED: u8 = 2;
const ENDED: u8 = 4;

/// How a run that has answered stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Standing {
    /// Its answer counts.
    Answered,
    /// It was cancelled before.
    Cancelled,
    /// Its owner was closed before.
    Closed,
}

impl Cancel {
    /// What the run is called.
    pub(super) fn run(&self) -> String {
        self.run.to_string()
    }

    /// That of a run which acts on behalf of `outer`.
    pub(crate) fn new(run: Called, outer: Option<Arc<Self>>) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(LIVE),
            object: Object::new(),
            cancelled: StampCell::default(),
            run: Arc::new(run),
            outer,
        })
    }

    /// Refuses every wait on this behalf from now on, and ends those that go on. Says whether the run is
    /// cancelled: it is not if it has answered before.
    pub(crate) fn cancel(&self) -> bool {
        self.become_cancelled(Op::unasked("cancel"), CANCELLED)
    }

    /// The same, because its owner was closed.
    pub(crate) fn close(&self) {
        self.become_cancelled(Op::unasked("cancel, since the owner closes"), CLOSED);
    }

    fn become_cancelled(&self, op: Op, state: u8) -> bool {
        self.object.observe();
        self.object.step(op, Kind::Cancel);
        if self.state.load(Ordering::Relaxed) == LIVE {
            self.cancelled.set_here();
        }
        let before = self.state.compare_exchange(LIVE, state, Ordering::AcqRel, Ordering::Acquire);
        if before.is_ok() && !seeded(Bug::CancelWakesNobody) {
            registry::interrupt(self);
        }
        before != Err(ENDED)
    }

    /// The run has an answer, or will have none.
    pub(crate) fn end(&self) -> Standing {
        self.is_seen_with_outer();
        self.object.step(Op::unasked("end"), Kind::Settle);
        match self.state.fetch_or(ENDED, Ordering::AcqRel) & !ENDED {
            CANCELLED if !seeded(Bug::AnswerAfterCancel) => Standing::Cancelled,
            CLOSED => Standing::Closed,
            _ if self.outer.as_ref().is_some_and(|outer| outer.refused().is_some()) => Standing::Cancelled,
            _ => Standing::Answered,
        }
    }

    /// Whether the run has ended, for somebody who goes on in either case.
    pub(crate) fn has_ended(&self) -> bool {
        self.object.observe();
        self.object.step(Op::unasked("has it ended?"), Kind::Look);
        self.state.load(Ordering::Acquire) & ENDED != 0
    }

    /// Whether it is cancelled, for somebody who goes on in either case.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_seen_with_outer();
        self.object.step(Op::unasked("is cancelled?"), Kind::Look);
        self.refused().is_some()
    }

    /// Whoever looks at this one looks at those of the runs it is part of by the same look.
    fn is_seen_with_outer(&self) {
        self.all().skip(1).for_each(|outer| self.object.is_ended_by(outer.object));
    }

    /// What a wait on this behalf is refused with.
    pub(super) fn refused(&self) -> Option<Cancelled> {
        let cancelled = self.called_off()?;
        cancelled.cancelled.witness();
        Some(Cancelled(Some(cancelled.run.clone())))
    }

    /// Whether waits on this behalf end by themselves: they are refused, or about to find out.
    pub(super) fn ends_waits(&self) -> bool {
        self.called_off().is_some()
    }

    /// The first that is cancelled of this one and those of the runs it is part of.
    fn called_off(&self) -> Option<&Self> {
        self.all().find(|cancel| cancel.state.load(Ordering::Acquire) & (CANCELLED | CLOSED) != 0)
    }

    /// What is said of a run that was cancelled, whether it noticed or not.
    pub(crate) fn verdict(&self) -> Cancelled {
        Cancelled(Some(self.run.clone()))
    }

    /// Whether `other` is this run's, or that of a run it is part of.
    pub(super) fn is_part_of(&self, other: &Self) -> bool {
        self.all().any(|cancel| std::ptr::eq(cancel, other))
    }

    /// This one, and those of the runs it is part of.
    pub(super) fn all(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |cancel| cancel.outer.as_deref())
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancel").field(&self.run.to_string()).finish()
    }
}
