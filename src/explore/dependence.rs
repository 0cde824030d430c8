//! Which steps depend on each other: the one table that decides what is explored.
//!
//! Two steps are independent if, from every state in which both are next, both orders lead to the same state
//! and neither changes what the other is. Then one order stands for both. A pair that is missing here loses
//! behaviours; a pair too many only costs executions. Steps on different objects are always independent, but
//! for one rule that the table cannot hold: an arrival that closes a cycle, and is told so, depends on the
//! arrivals of the cycle (see `search.rs`).
//!
//! | object | steps | depend, because | independent, because |
//! | --- | --- | --- | --- |
//! | mailbox | post, keep | each other: the queue has an order | |
//! | | close | post, owe: they are refused after it; close: the end has happened after the first | keep: it is accepted either way |
//! | | owe | close | post, keep, owe: a count |
//! | | is closed? | close | all else: it sees nothing of them |
//! | | post if there is room | post, keep, close, and each other; take: it makes room | |
//! | | take | all of these but owe and is closed: it finds a job or none | |
//! | | close now | as close; keep, take: what has not begun is refused | |
//! | | len | post, keep, take, close now: it counts | each other |
//! | | wait until idle | post, keep, take, close now: whether there is work | each other |
//! | queue | push | push: order; try: it may find the item | pop: the n-th to wait gets the n-th item |
//! | | pop | pop: order; try: it may find nothing left | push |
//! | | try | all: it sees whether there is an item | |
//! | channel | send, receive | as push and pop, whatever its capacity: the n-th who sends meets the n-th who receives, and goes on when the item has a place | |
//! | | try, a choice among several, len | as try of a queue: all | |
//! | | let an end go | send and try: whether the channel is closed | receive: it comes to the end of the items before or after |
//! | lock | lock | lock: order of the line; try: it may find the lock taken | unlock: the line is served in its order |
//! | | try | all: it sees whether the lock is free; post, keep: see below | |
//! | | unlock | try | lock, read, unlock |
//! | | read | lock: order of the line; try to lock | read, try to read: both get it, or both are behind the same |
//! | | try to read | lock, try, unlock: it may find the lock taken | read, and each other |
//! | run | cancel | all that is said of what it may end: see below | |
//! | slot | settle | look: it sees whether the value is there | (settle: there is one) |
//! | | look | settle | look: one reader; post, keep: see below |
//! | condition | await, notify | each other: who is woken; notify also look: who leaves is not woken | |
//! | atomic | load | store | load |
//! | | store | load, store (and every operation that reads and writes) | |
//! | semaphore, barrier, wait group, permit to go on | every operation | as store: who gets what is told by their order | |
//!
//! A task that serves while it waits looks at its slot and at its mailbox by one look, so for the explorer that slot
//! is part of the mailbox. Whether the value or a job comes first decides what is served: settle depends on post
//! and keep. A look does not: a job that is there when the owner looks, and one that comes while it waits, are
//! served after both. Likewise with a lock that such a task waits for: it tries to take it and looks at its mailbox by
//! one look, whether it then has to wait or not, and stands in the line only while it serves nothing. So its arrival is a
//! try; so is an unlock of a lock that is one with a mailbox; and a try depends on post and keep. The pop of a queue by
//! such a task is a try too.
//!
//! An owner that found no job takes again when there is something for it: a job, the close, the last promise kept
//! after that. This has happened before the take, which would not be there without it, and is in no race with it.
//! So nothing else may wake an owner: a close while a job is still owed does not. (Else either of two independent
//! steps, keep and close, could have been what woke it, and the take would have to be ordered after one of them.)
//! Likewise what a wait does that was cancelled has happened after the cancel.
//!
//! A run that somebody cancels is one object with everything that is waited for on its behalf: the mailbox, the lock,
//! the reply; and with a run that is part of it, which asks for both by one look. Whether a wait arrives before it is
//! cancelled, and whether it is granted before, can be told. A cancelled run takes a lock that is free and is refused
//! one that is not, so an unlock there depends on what a try does (coarser than need be while nobody is cancelled).
//!
//! A timed wait that may end at any moment, and a wait that may end for no reason, is a look at its slot: it comes
//! before what it waits for, or after. One that ends by time only when nothing else can happen is no step; then
//! everything has happened before it.
//!
//! Recorded and not scheduled, since nobody can tell when they happen: the pop of a mailbox (one consumer),
//! the reply of a call (one waiter, which does nothing else), a join, a spawn. They pass clocks on and are no
//! steps. `settle` and `unlock` are such too, until somebody looks (a `then`, an `is_finished`, a serving wait; a
//! `try_lock`), and so is `take` until somebody can tell how many jobs are left (a bounded mailbox, a length, a wait
//! until it is idle, a caller that may leave); and so is every step on an object that one task alone touches. The first execution in which
//! that changes starts the search anew, with those steps in it: see `names.rs`.

use crate::wait::Kind;

/// A step, as far as dependence goes: an object, and what is done to it. Object 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Touch {
    pub(super) object: u32,
    pub(super) kind: Kind,
}

impl Touch {
    /// A step that touches nothing others could race for.
    pub(super) const NOTHING: Self = Self { object: 0, kind: Kind::Load };

    /// Whether it is that.
    #[inline]
    pub(super) const fn is_nothing(self) -> bool {
        self.object == 0
    }
}

/// Whether the order of two steps on one object can be told.
const fn conflict(a: Kind, b: Kind) -> bool {
    use Kind::*;
    match (a, b) {
        (Cancel, _) | (_, Cancel) => return true,
        (Take, Take | Owe | IsClosed) | (Owe | IsClosed, Take) => return false,
        (Take, _) | (_, Take) => return true,
        _ => {}
    }
    matches!(
        (a, b),
        (Post | TryPost | Keep, Post | TryPost | Keep)
            | (Close | CloseNow, Post | TryPost | Owe | Close | CloseNow | IsClosed)
            | (Post | TryPost | Owe | IsClosed, Close | CloseNow)
            | (Keep | Len | Idle, CloseNow)
            | (CloseNow, Keep | Len | Idle)
            | (Len | Idle, Post | TryPost | Keep)
            | (Post | TryPost | Keep, Len | Idle)
            | (Push, Push | TryPop)
            | (Pop, Pop | TryPop)
            | (TryPop, Push | Pop | TryPop)
            | (Lock, Lock | TryLock | Read | TryRead)
            | (TryLock, Lock | TryLock | Read | TryRead | Unlock | Post | TryPost | Keep)
            | (Read, Lock | TryLock)
            | (TryRead, Lock | TryLock | Unlock)
            | (Unlock, TryLock | TryRead)
            | (Post | TryPost | Keep, TryLock)
            | (Close, Push | TryPop)
            | (Push | TryPop, Close)
            | (Await | Notify, Await | Notify)
            | (Look, Notify)
            | (Notify, Look)
            | (Settle, Look | Post | TryPost | Keep)
            | (Look | Post | TryPost | Keep, Settle)
            | (Load, Store)
            | (Store, Load | Store)
    )
}

/// Every kind of step.
pub(super) const KINDS: [Kind; 25] = {
    use Kind::*;
    [
        Post, TryPost, Keep, Owe, Close, CloseNow, IsClosed, Len, Idle, Take, Cancel, Push, Pop, TryPop,
        Lock, TryLock, Read, TryRead, Unlock, Settle, Look, Await, Notify, Load, Store,
    ]
};

/// For each kind, as bits, those that it depends on: the table above, for whoever asks at every step. A kind that is
/// missing there depends on all.
const CONFLICTS: [u32; 32] = {
    let mut table = [!0; 32];
    let mut at = 0;
    while at < KINDS.len() * KINDS.len() {
        let (a, b) = (KINDS[at / KINDS.len()], KINDS[at % KINDS.len()]);
        if !conflict(a, b) {
            table[a as usize] &= !(1 << b as u32);
        }
        at += 1;
    }
    table
};

/// Whether the two steps depend on each other.
#[inline]
pub(super) fn depend(a: Touch, b: Touch) -> bool {
    a.object == b.object
        && a.object != 0
        && CONFLICTS[a.kind as usize] >> b.kind as u32 & 1 == 1
        && !super::mutants::forgets(a.kind, b.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependence_has_no_direction() {
        for a in KINDS {
            for b in KINDS {
                assert_eq!(conflict(a, b), conflict(b, a), "{a:?} and {b:?}");
                let touch = |kind| Touch { object: 1, kind };
                assert_eq!(depend(touch(a), touch(b)), conflict(a, b), "{a:?} and {b:?}");
            }
        }
    }
}
