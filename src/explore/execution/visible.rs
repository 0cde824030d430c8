//! Which of the steps that tasks ask for are steps: those whose time somebody can tell.

use super::Execution;
use super::fellow::Seen;
use crate::explore::dependence::{KINDS, Touch};
use crate::explore::names::{self, Known};
use crate::wait::explored::{EXECUTION, quiet as mark_of};
use crate::wait::{Access, Kind};

/// A task that does more than this between two steps may be looking for something that another is to do.
const MOST_UNSEEN: u32 = 1_000;

impl Execution {
    /// Whether it is known that nobody can tell the time of this touch.
    #[inline(always)]
    pub(super) fn is_quiet(&self, me: u8, access: Access) -> bool {
        let (creator, nth) = names::parts(self.local(access.object));
        let made = self.fellow(creator as u8).made.borrow();
        let is_quiet = |seen: &Seen| seen.alone == me + 1 || seen.quiet & bit(access.kind) != 0;
        made.get(nth as usize).is_some_and(is_quiet)
    }

    /// What is left of a touch when everything is taken away that nobody can tell the time of; nothing at all is
    /// said if something has to be found out for that.
    #[inline(always)]
    pub(super) fn visible(&self, me: u8, access: Access) -> Option<Touch> {
        let object = self.local(access.object);
        let seen = self.seen(object)?;
        if is_shared_by(seen.known, me, access.kind) {
            return None;
        }
        if !is_step(seen.known, access.kind) {
            return Some(Touch::NOTHING);
        }
        let touch = stands_for(seen.known, object, access.kind);
        if touch.object != object {
            self.seen(touch.object)?;
        }
        Some(touch)
    }

    /// The same, and finds out what is not known.
    #[cold]
    pub(super) fn found_visible(&self, me: u8, access: Access) -> Touch {
        let object = self.local(access.object);
        let known = self.look_up(object, me);
        if is_shared_by(known, me, access.kind) {
            self.names.share(object);
        }
        if !is_step(known, access.kind) {
            return Touch::NOTHING;
        }
        let touch = stands_for(known, object, access.kind);
        if touch.object != object {
            self.look_up(touch.object, me);
        }
        touch
    }

    /// Whether the task has done so much without a step that it may be waiting for somebody in a loop.
    #[inline]
    pub(super) fn goes_on_and_on(&self) -> bool {
        self.unseen.set(self.unseen.get() + 1);
        self.unseen.get() > MOST_UNSEEN
    }

    /// The name of an object without the execution that it belongs to.
    #[inline]
    pub(super) fn local(&self, object: u64) -> u32 {
        assert!(
            (object & EXECUTION) >> 32 == u64::from(self.number.get()),
            "something that tasks share (a lock, a queue, an owner, a session) was made outside of this \
             execution: make it inside the closure that is explored, so that every execution has its own"
        );
        object as u32
    }

    /// What is known of an object, now that a task touches it.
    #[inline]
    pub(super) fn look_up(&self, object: u32, me: u8) -> Known {
        self.seen(object).map_or_else(|| self.meet(object, me), |seen| seen.known)
    }

    /// The same, if this worker has seen it before.
    #[inline(always)]
    fn seen(&self, object: u32) -> Option<Seen> {
        let (creator, nth) = names::parts(object);
        let made = self.fellow(creator as u8).made.borrow();
        made.get(nth as usize).filter(|seen| seen.asked).copied()
    }

    /// This worker sees the object for the first time.
    #[cold]
    fn meet(&self, object: u32, me: u8) -> Known {
        let (creator, nth) = names::parts(object);
        let nth = nth as usize;
        let mut made = self.fellow(creator as u8).made.borrow_mut();
        if made.len() <= nth {
            made.resize(nth + 1, Seen::default());
        }
        let known = self.names.touched(object, me);
        let alone = if known.is_shared() || known.observed { 0 } else { known.first };
        let is_quiet = |kind: &&Kind| !is_step(known, **kind) && (known.is_shared() || looks(**kind));
        let quiet = KINDS.iter().filter(is_quiet).fold(0, |bits, kind| bits | bit(*kind));
        let marks = KINDS.iter().filter(is_quiet).fold(0, |marks, kind| marks | mark_of(*kind));
        made[nth] = Seen { known, alone, quiet, marks, asked: true, ..made[nth] };
        known
    }
}

/// Whether a second task touches the object, of which nobody knew so far.
#[inline]
fn is_shared_by(known: Known, task: u8, kind: Kind) -> bool {
    !looks(kind) && !known.is_shared() && known.first != task + 1
}

/// Whether a touch is one of the two that a value goes from one to the other by.
#[inline]
const fn looks(kind: Kind) -> bool {
    matches!(kind, Kind::Settle | Kind::Look)
}

/// Whether others can tell when this kind of touch happens.
fn is_step(known: Known, kind: Kind) -> bool {
    match kind {
        Kind::Settle | Kind::Look | Kind::Cancel => known.observed,
        Kind::Unlock | Kind::Take => known.observed && known.is_shared(),
        _ => known.is_shared(),
    }
}

/// What such a step is to whoever asks what it depends on.
#[inline]
fn stands_for(known: Known, object: u32, kind: Kind) -> Touch {
    match (known.with, kind) {
        (0, kind) => Touch { object, kind },
        // Whoever finds the lock free takes it, cancelled or not; whoever has to wait is refused.
        (with, Kind::Unlock) => Touch { object: with, kind: Kind::TryLock },
        (with, kind) => Touch { object: with, kind },
    }
}

/// A kind's place in [`Seen::quiet`].
#[inline(always)]
const fn bit(kind: Kind) -> u32 {
    1 << kind as u32
}
