//! Bugs that tests seed into the search, to show that its oracle has teeth. Outside of tests there are none.

use crate::wait::Kind;

/// A way to be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(not(test), allow(dead_code))]
pub(super) enum Mutant {
    /// None.
    #[default]
    None,
    /// Two pushes to one queue are taken for independent.
    PushesIndependent,
    /// Two arrivals at one lock are taken for independent.
    LocksIndependent,
    /// A try does not depend on what it tries.
    TriesIndependent,
    /// What was explored at a node is not asleep in what follows.
    ForgetSleepers,
    /// Only the races of new events are reversed.
    NewRacesOnly,
    /// A sleeper that is not in a sequence never counts as its weak initial.
    StricterWeakInitial,
    /// A reversal that comes to a node somebody has claimed is dropped.
    DropAtClaimed,
    /// Nodes retire in any order.
    RetireInAnyOrder,
    /// A sibling that somebody explores is not asleep.
    ClaimedIsAwake,
    /// An arrival that closes a cycle does not depend on the arrivals of the cycle.
    CycleIndependent,
    /// Whether there is room, or nothing to do, does not depend on what the owner takes.
    TakesIndependent,
    /// Whether a run ends or is cancelled first does not matter.
    CancelsIndependent,
    /// Steps are taken before everybody has come to rest although somebody looks.
    AlwaysHasty,
}

pub(super) use switch::{is, seed};

/// Whether a mutant takes this pair for independent.
#[inline(always)]
pub(super) fn forgets(a: Kind, b: Kind) -> bool {
    use Kind::*;
    is(Mutant::PushesIndependent) && a == Push && b == Push
        || is(Mutant::LocksIndependent) && a == Lock && b == Lock
        || is(Mutant::TriesIndependent) && (matches!(a, TryPop | TryLock) || matches!(b, TryPop | TryLock))
        || is(Mutant::TakesIndependent) && matches!((a, b), (Take, TryPost | Idle) | (TryPost | Idle, Take))
        || is(Mutant::CancelsIndependent) && matches!((a, b), (Cancel, Settle) | (Settle, Cancel))
}

#[cfg(not(test))]
mod switch {
    use super::Mutant;

    #[inline(always)]
    pub(in super::super) const fn seed(_: Mutant) {}

    #[inline(always)]
    pub(in super::super) const fn is(_: Mutant) -> bool {
        false
    }
}

#[cfg(test)]
mod switch {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static CURRENT: Cell<Mutant> = const { Cell::new(Mutant::None) };
    }

    /// From now on this thread is wrong in this way.
    pub(in super::super) fn seed(mutant: Mutant) {
        CURRENT.set(mutant);
    }

    pub(in super::super) fn is(mutant: Mutant) -> bool {
        CURRENT.get() == mutant
    }
}
