//! Where an owner that looks for jobs is told of them, or handed one.
//!
//! An owner that has nothing to do looks for a while before it parks, and one that calls it then is usually alone.
//! The queue would cost the two of them the lock and the queue's memory, each of which goes from one processor to the
//! other and back. Through the hatch the job goes in one cache line, and that is the line that the owner looks at.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use crate::platform::atomic::{AtomicU8, Ordering};
use crate::platform::{Bug, UnsafeCell, seeded};

/// Whether an owner looks, and what it finds.
///
/// ```text
///           open              hand over                done
///   SHUT ----------> OPEN ----------------> FILLING ----------> HANDED
///    ^                | \                      |                   |
///    |<---- shut -----'  `-- tell --> POSTS    | shut              | take
///    |                                CALLS    v                   v
///    |<---- shut -----------------------'   REVOKED               SHUT
///    |<---- the caller takes its job back -----'
/// ```
///
/// `open`, `tell` and `shut` are called by whoever has the lock of the mailbox, and `open` while the queue is empty. So
/// no job that was queued before is overtaken; the owner takes what was handed over first, and shuts before it takes
/// anything from the queue. While it runs a job the hatch is shut.
///
/// The place is the caller's while FILLING and REVOKED, and the owner's while HANDED: nobody else leaves those states.
#[repr(C)]
pub(super) struct Hatch<J> {
    state: AtomicU8,
    place: UnsafeCell<MaybeUninit<J>>,
}

const SHUT: u8 = 0;
const OPEN: u8 = 1;
const FILLING: u8 = 2;
const REVOKED: u8 = 3;
const HANDED: u8 = 4;
const POSTS: u8 = 5;
const CALLS: u8 = 6;

// SAFETY: a job goes from one task to another and is never shared, ordered by the state.
unsafe impl<J: Send> Sync for Hatch<J> {}

/// What there is for an owner that looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum News {
    /// Jobs for which nobody waits: more of them may be coming.
    Posts = POSTS,
    /// Somebody waits.
    Calls = CALLS,
}

/// What comes of the wish to shut it.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Shut {
    /// Nothing comes through it any more.
    Empty,
    /// Nor here, but there is a job in it that the owner has not taken.
    Handed,
}

impl<J> Hatch<J> {
    pub(super) fn new() -> Self {
        Self { state: AtomicU8::new(SHUT), place: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// The owner, which has the lock and an empty queue, begins to look. `false` while somebody is still about to take
    /// back a job.
    #[must_use]
    pub(super) fn open(&self) -> bool {
        self.become_from(SHUT, OPEN).is_ok()
    }

    /// Whoever has the lock has queued something: an owner that looks is told.
    #[inline(always)]
    pub(super) fn tell(&self, news: News) {
        loop {
            let now = self.state.load(Ordering::Relaxed);
            let told = match now {
                OPEN if !seeded(Bug::TellNobody) => news as u8,
                POSTS if news == News::Calls => CALLS,
                _ => return,
            };
            if self.become_from(now, told).is_ok() {
                return;
            }
        }
    }

    /// Whoever has the lock sees to it that nothing comes through any more.
    pub(super) fn shut(&self) -> Shut {
        loop {
            let now = self.state.load(Ordering::Relaxed);
            let shut = match now {
                HANDED => return Shut::Handed,
                SHUT | REVOKED => return Shut::Empty,
                FILLING if seeded(Bug::NeverRevoke) => return Shut::Empty,
                FILLING => REVOKED,
                _ => SHUT,
            };
            if self.become_from(now, shut).is_ok() {
                return Shut::Empty;
            }
        }
    }

    fn become_from(&self, now: u8, next: u8) -> Result<u8, u8> {
        self.state.compare_exchange(now, next, Ordering::AcqRel, Ordering::Relaxed)
    }

    /// Hands a job to an owner that looks.
    ///
    /// # Errors
    ///
    /// The job, if the owner does not look, or no longer.
    #[inline(always)]
    pub(super) fn hand_over(&self, job: J) -> Result<(), J> {
        if self.state.load(Ordering::Relaxed) != OPEN || self.become_from(OPEN, FILLING).is_err() {
            return Err(job);
        }
        // SAFETY: the place is this caller's from FILLING on. It is empty: the owner has read what was in it before it
        // opened, and that was read here.
        self.place.with_mut(|place| unsafe { (*place).write(job) });
        let order = if seeded(Bug::RelaxedHandOver) { Ordering::Relaxed } else { Ordering::AcqRel };
        if self.state.compare_exchange(FILLING, HANDED, order, Ordering::Relaxed).is_ok() {
            return Ok(());
        }
        // SAFETY: the place was revoked, so it still is this caller's, who has filled it.
        let job = self.place.with_mut(|place| unsafe { (*place).assume_init_read() });
        self.state.store(SHUT, Ordering::Release);
        Err(job)
    }

    /// What was handed over. For the owner alone, or whoever has outlived it.
    #[inline]
    pub(super) fn take(&self) -> Option<J> {
        if !self.is_handed() {
            return None;
        }
        // SAFETY: the place is the owner's while HANDED, and was filled before.
        let job = self.place.with_mut(|place| unsafe { (*place).assume_init_read() });
        self.state.store(SHUT, Ordering::Release);
        Some(job)
    }

    /// Whether there is a job in it.
    #[inline]
    pub(super) fn is_handed(&self) -> bool {
        self.state.load(Ordering::Acquire) == HANDED
    }

    /// Whether the owner that looks should stop and see what there is.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        !matches!(self.state.load(Ordering::Relaxed), OPEN | FILLING)
    }

    /// Whether that is posts and nothing else.
    #[inline]
    pub(super) fn has_posts(&self) -> bool {
        self.state.load(Ordering::Relaxed) == POSTS
    }
}

impl<J> Drop for Hatch<J> {
    fn drop(&mut self) {
        drop(self.take());
    }
}
