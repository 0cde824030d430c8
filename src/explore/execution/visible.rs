//! Which of the steps that tasks ask for are steps: those whose time somebody can tell.

use super::Execution;
use super::fellow::Seen;
use crate::explore::dependence::Touch;
use crate::explore::names::{self, Known};
use crate::wait::{Access, Kind};

/// A task that does more than this between two steps may be looking for something that another is to do.
const MOST_UNSEEN: u32 = 1_000;

impl Execution {
    /// What is left of a touch when everything is taken away that nobody can tell the time of; nothing at all is
    /// said if something has to be found out for that. (This is asked most often, and calls nobody.)
    #[inline]
    pub(super) fn visible(&self, me: u8, access: Access) -> Option<Touch> {
        let object = self.local(access.object);
        let known = self.seen(object)?;
        if is_shared_by(known, me, access.kind) {
            return None;
        }
        let touch = left_of(known, object, access.kind);
        if !touch.is_nothing() && touch.object != object {
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
        let touch = left_of(known, object, access.kind);
        if !touch.is_nothing() && touch.object != object {
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
            (object >> 32) as u32 == self.number.get(),
            "something that tasks share (a lock, a queue, an owner, a session) was made outside of this \
             execution: make it inside the closure that is explored, so that every execution has its own"
        );
        object as u32
    }

    /// What is known of an object, now that a task touches it.
    #[inline]
    pub(super) fn look_up(&self, object: u32, me: u8) -> Known {
        self.seen(object).unwrap_or_else(|| self.meet(object, me))
    }

    /// The same, if this worker has seen it before.
    #[inline]
    fn seen(&self, object: u32) -> Option<Known> {
        let (creator, nth) = names::parts(object);
        let made = self.fellow(creator as u8).made.borrow();
        made.get(nth as usize).filter(|seen| seen.asked).map(|seen| seen.known)
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
        (made[nth].known, made[nth].asked) = (known, true);
        known
    }
}

/// Whether a second task touches the object, of which nobody knew so far.
#[inline]
fn is_shared_by(known: Known, task: u8, kind: Kind) -> bool {
    let looks = matches!(kind, Kind::Settle | Kind::Look);
    !looks && !known.shared && known.with == 0 && known.first != task + 1
}

/// What others can tell of this kind of touch.
#[inline]
fn left_of(known: Known, object: u32, kind: Kind) -> Touch {
    // Two objects that are one have two who touch them.
    let shared = known.shared || known.with != 0;
    let visible = match kind {
        Kind::Settle | Kind::Look | Kind::Cancel => known.observed,
        Kind::Unlock | Kind::Take => known.observed && shared,
        _ => shared,
    };
    if !visible {
        return Touch::NOTHING;
    }
    match (known.with, kind) {
        (0, kind) => Touch { object, kind },
        // Whoever finds the lock free takes it, cancelled or not; whoever has to wait is refused.
        (with, Kind::Unlock) => Touch { object: with, kind: Kind::TryLock },
        (with, kind) => Touch { object: with, kind },
    }
}
