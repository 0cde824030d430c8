//! Which of the steps that tasks ask for are steps: those whose time somebody can tell.

use super::Execution;
use super::fellow::Seen;
use crate::explore::dependence::Touch;
use crate::explore::names::{self, Known};
use crate::wait::{Access, Kind};

/// A task that does more than this between two steps may be looking for something that another is to do.
const MOST_UNSEEN: u32 = 1_000;

impl Execution {
    /// What is left of a touch when everything is taken away that nobody can tell the time of.
    #[inline]
    pub(super) fn visible(&self, me: u8, access: Access) -> Touch {
        let object = self.local(access.object);
        let known = self.look_up(object, me);
        // Two objects that are one have two who touch them.
        let shared = known.shared || known.with != 0;
        let visible = match access.kind {
            Kind::Settle | Kind::Look | Kind::Cancel => known.observed,
            Kind::Unlock | Kind::Take => known.observed && shared,
            _ => shared,
        };
        if !matches!(access.kind, Kind::Settle | Kind::Look) && !shared && known.first != me + 1 {
            self.names.share(object);
        }
        if !visible {
            return Touch::NOTHING;
        }
        let object = match known.with {
            0 => object,
            with => {
                self.look_up(with, me);
                with
            }
        };
        let kind = match access.kind {
            // Whoever finds the lock free takes it, cancelled or not; whoever has to wait is refused.
            Kind::Unlock if known.with != 0 => Kind::TryLock,
            kind => kind,
        };
        Touch { object, kind }
    }

    /// Whether the task has done so much without a step that it may be waiting for somebody in a loop. Then this
    /// is one after all.
    #[inline]
    pub(super) fn goes_on_and_on(&self, access: Option<Access>) -> bool {
        self.unseen.set(self.unseen.get() + 1);
        let goes_on = self.unseen.get() > MOST_UNSEEN;
        if goes_on {
            access.into_iter().for_each(|access| self.names.share(self.local(access.object)));
        }
        goes_on
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
        let (creator, nth) = names::parts(object);
        let made = self.fellow(creator as u8).made.borrow();
        match made.get(nth as usize) {
            Some(seen) if seen.asked => seen.known,
            _ => {
                drop(made);
                self.meet(object, me)
            }
        }
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
