//! Where an owner that looks for jobs is told of them, or handed one.
//!
//! An owner that has nothing to do looks for a while before it parks, and one that calls it then is usually alone.
//! The queue would cost the two of them the lock and the queue's memory, each of which goes from one processor to the
//! other and back. Through the hatch the job goes in one cache line, and that is the line that the owner looks at.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::sync::atomic::AtomicBool;

use crate::platform::atomic::{AtomicU8, Ordering};
use crate::platform::{Bug, UnsafeCell, seeded};

/// Whether an owner looks, and what it finds.
///
/// ```text
///            .----------------------- done ------------------------.
///            v                                                     |
///   SHUT -> OPEN ----- hand over ----> FILLING ----- filled ---> HANDED
///        open | \                         |                        |
///             |  `-- tell --> NEWS        | tell, shut             | tell, shut
///             |                           v                        v
///             `----- shut ---> SHUT    REVOKED -> SHUT         FOLLOWED -- done --> NEWS
/// ```
///
/// NEWS is POSTS, or CALLS once a call is among them. Nothing comes through the hatch then, and POSTS stays until the
/// owner finds nothing and opens again: as long as posts come, nobody writes here.
///
/// `open`, `tell` and `shut` are called by whoever has the lock of the mailbox, `open` by the owner while the queue is
/// empty, `tell` whenever something was queued. So while it is OPEN, FILLING or HANDED the queue is empty, or somebody
/// is about to tell: what is handed over overtakes nothing, and an owner that has run it may open again without a look
/// at the queue. While the owner runs a job the hatch is not open.
///
/// It is empty when it is dropped: the owner, or whoever has outlived it, shuts it and takes what is in it.
///
/// The place is the caller's while FILLING and REVOKED, and the owner's while HANDED and FOLLOWED: nobody else leaves
/// those states but by what is shown.
#[repr(C)]
pub(super) struct Hatch<J> {
    state: AtomicU8,
    /// The owner has taken what was handed over.
    taken: AtomicBool,
    place: UnsafeCell<MaybeUninit<J>>,
}

const SHUT: u8 = 0;
const OPEN: u8 = 1;
const FILLING: u8 = 2;
const REVOKED: u8 = 3;
const HANDED: u8 = 4;
const FOLLOWED: u8 = 5;
const POSTS: u8 = 6;
const CALLS: u8 = 7;

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

impl<J> Hatch<J> {
    pub(super) fn new() -> Self {
        Self {
            state: AtomicU8::new(SHUT),
            taken: AtomicBool::new(false),
            place: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    fn become_from(&self, now: u8, next: u8) -> Result<u8, u8> {
        self.state.compare_exchange(now, next, Ordering::AcqRel, Ordering::Relaxed)
    }

    /// The owner, which has the lock and an empty queue, begins to look. `false` while somebody is still about to take
    /// back a job.
    #[must_use]
    pub(super) fn open(&self) -> bool {
        [SHUT, POSTS].into_iter().any(|now| self.become_from(now, OPEN).is_ok())
    }

    /// Whoever has the lock has queued something: an owner that looks is told.
    #[inline(always)]
    pub(super) fn tell(&self, news: News) {
        loop {
            let now = self.state.load(Ordering::Relaxed);
            let told = match now {
                OPEN => news as u8,
                POSTS if news == News::Calls => CALLS,
                FILLING => REVOKED,
                HANDED => FOLLOWED,
                _ => return,
            };
            if seeded(Bug::TellNobody) || self.become_from(now, told).is_ok() {
                return;
            }
        }
    }

    /// Whoever has the lock sees to it that nothing comes through any more. What was handed over is the owner's.
    pub(super) fn shut(&self) {
        loop {
            let now = self.state.load(Ordering::Relaxed);
            let shut = match now {
                SHUT | REVOKED | FOLLOWED | POSTS => return,
                FILLING if seeded(Bug::NeverRevoke) => return,
                FILLING => REVOKED,
                HANDED => FOLLOWED,
                _ => SHUT,
            };
            if self.become_from(now, shut).is_ok() {
                return;
            }
        }
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

    /// What was handed over. For the owner alone, or whoever has outlived it; until [`done`](Self::done) there is no
    /// more.
    #[inline]
    pub(super) fn take(&self) -> Option<J> {
        if !self.is_full() {
            return None;
        }
        self.taken.store(true, Ordering::Relaxed);
        // SAFETY: the place is the owner's while HANDED and FOLLOWED, and was filled before; it is read once.
        Some(self.place.with_mut(|place| unsafe { (*place).assume_init_read() }))
    }

    /// The owner has run what it took, if it has taken anything, and `looks` again or not. Says whether it looks and
    /// nothing has been queued meanwhile: then it is open.
    #[must_use]
    #[inline]
    pub(super) fn done(&self, looks: impl FnOnce() -> bool) -> bool {
        if !self.taken.load(Ordering::Relaxed) {
            return false;
        }
        let looks = looks();
        let alone = self.become_from(HANDED, if looks { OPEN } else { SHUT }).is_ok();
        if !alone {
            // FOLLOWED: somebody has queued something, or shut it.
            self.state.store(POSTS, Ordering::Release);
        }
        self.taken.store(false, Ordering::Relaxed);
        alone && looks
    }

    /// Whether there is a job in it that the owner has not taken.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        matches!(self.state.load(Ordering::Acquire), HANDED | FOLLOWED) && !self.taken.load(Ordering::Relaxed)
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
