//! A closure on its way to the owner.

#![allow(unsafe_code)]

use std::sync::Arc;

use super::about::About;
use super::panics::{Outcome, caught};
use super::ticket::{Mine, Ticket};
use super::trace::QueuedAt;
use super::work::{Load, On, Work};
use crate::platform::{self, Bug, UnsafeCell, seeded};
use crate::sync::{Abandoned, Slot};
use crate::wait::{Activation, Lineage, Op, TaskId};

/// A job that is in no queue any more. It stays where it is put: it is as long as two cache lines, and a processor that
/// reads in one piece what was just written in several has to wait.
pub(super) struct Job<T> {
    pub(super) about: About,
    pub(super) work: Work<T>,
}

/// What the owner is told of a job that it takes from its batch.
pub(super) enum Popped {
    /// A post on nobody's behalf: this is all that has to be known of it, and it has been begun.
    Plain(Plain),
    /// Any other. What it is about stands with it.
    Job,
}

/// All that the owner has to know of a post on nobody's behalf.
#[derive(Clone, Copy)]
pub(super) struct Plain {
    pub(super) op: Op,
    pub(super) queued_at: QueuedAt,
}

/// A job in the queue, for the owner that chooses one.
pub(super) struct Seen<'a, T> {
    pub(super) about: &'a About,
    pub(super) promise: Option<&'a Promise<T>>,
}

/// The promise to run what somebody waits for. Dropped, it tells them.
pub(super) struct Promise<T>(Option<Arc<dyn Kept<T>>>);

impl<T> Load<T> for Promise<T> {
    const IS_PROMISE: bool = true;

    fn promise(&self) -> Option<&Self> {
        Some(self)
    }

    #[inline(always)]
    unsafe fn run(this: *mut Self, on: &On<'_, T>) -> Outcome<()> {
        // SAFETY: the caller's contract.
        let mut promise = unsafe { this.read() };
        promise.keep(on)
    }
}

/// A job that somebody waits for, on its way to an owner that looks: small enough for one cache line.
pub(super) struct Sent<T> {
    pub(super) about: About,
    pub(super) promise: Promise<T>,
}

impl<T> Sent<T> {
    pub(super) fn new(op: Op, sender: TaskId, kept: Arc<dyn Kept<T>>) -> Self {
        Self { about: About::new(op, None, sender), promise: Promise(Some(kept)) }
    }

    /// The owner is about to begin it.
    #[inline]
    pub(super) fn fetch(&self) {
        self.promise.0.as_deref().into_iter().for_each(platform::fetch);
    }
}

impl<T> Promise<T> {
    /// On whose behalf what was promised acts.
    pub(super) fn lineage(&self) -> Option<&Lineage> {
        self.0.as_deref().map(Kept::lineage)
    }

    /// Runs what was promised, once.
    #[inline(always)]
    pub(super) fn keep(&mut self, on: &On<'_, T>) -> Outcome<()> {
        self.0.take().map_or(Ok(()), |kept| kept.run(on))
    }

    /// The owner takes it: `No` if whoever waited has taken it back.
    #[inline]
    pub(super) fn begin(&self) -> Mine {
        self.0.as_deref().map_or(Mine::Yes, |kept| kept.ticket().begin())
    }
}

impl<T> Seen<'_, T> {
    /// Whether it carries one of these activations.
    pub(super) fn descends_from(&self, any_of: &[Activation]) -> bool {
        let lineage = match self.promise {
            Some(promise) => promise.lineage(),
            None => self.about.lineage().map(Arc::as_ref),
        };
        lineage.is_some_and(|lineage| lineage.descends_from(any_of))
    }

    /// Whether somebody the owner waits for needs it.
    pub(super) fn is_needed(&self) -> bool {
        self.promise.and_then(|promise| promise.0.as_ref()).is_some_and(|kept| kept.ticket().is_needed())
    }
}

impl<T> Job<T> {
    /// A place for one.
    pub(super) fn none() -> Self {
        Self { about: About::none(), work: Work::none() }
    }

    /// What two keep, if it is such a job and has not been run.
    fn kept(&self) -> Option<&Arc<dyn Kept<T>>> {
        self.work.promise()?.0.as_ref()
    }

    /// On whose behalf it acts.
    pub(super) fn lineage(&self) -> Option<&Lineage> {
        match self.work.promise() {
            Some(promise) => promise.lineage(),
            None => self.about.lineage().map(Arc::as_ref),
        }
    }

    /// Whether it is this one, which its sender keeps too.
    pub(super) fn is(&self, other: &Arc<dyn Kept<T>>) -> bool {
        self.kept().is_some_and(|kept| std::ptr::addr_eq(Arc::as_ptr(kept), Arc::as_ptr(other)))
    }

    /// Drops it unrun. Whoever waits for it is told; says whether there is nobody who waits, nor has taken it back.
    #[must_use]
    pub(super) fn refuse(&mut self) -> bool {
        let is_nobodys = self.kept().is_none_or(|kept| {
            let is_ours = kept.ticket().begin() == Mine::Yes;
            let is_accepted = is_ours && kept.ticket().is_accepted();
            if is_ours {
                kept.abandon();
            }
            is_accepted
        });
        self.work.discard();
        is_nobodys
    }

    /// The owner takes it: `No` if whoever waited has taken it back, and then nothing is left of it.
    #[inline(always)]
    pub(super) fn begin(&mut self) -> Mine {
        self.about.witness();
        let begun = self.work.promise().map_or(Mine::Yes, Promise::begin);
        if begun == Mine::No {
            self.work.discard();
        }
        begun
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(kept) = self.0.take()
            && kept.ticket().begin() == Mine::Yes
        {
            kept.abandon();
        }
    }
}

/// A job that two keep: the owner in its queue, and whoever waits for it.
pub(super) trait Kept<T>: Send + Sync {
    fn ticket(&self) -> &Ticket;
    fn lineage(&self) -> &Lineage;
    /// Runs it, and tells whoever waits. It has been begun.
    fn run(&self, on: &On<'_, T>) -> Outcome<()>;
    /// Drops it unrun, and tells whoever waits. It has been begun.
    fn abandon(&self);
}

/// A closure, on behalf of whom it is to be run, and who may have it.
pub(super) struct Errand<F> {
    pub(super) ticket: Ticket,
    pub(super) lineage: Lineage,
    job: UnsafeCell<Option<F>>,
}

// SAFETY: the closure is touched only by the one for whom `begin` or `leave` of the ticket said `Yes`.
unsafe impl<F: Send> Sync for Errand<F> {}

impl<F> Errand<F> {
    #[inline(always)]
    pub(super) fn new(lineage: Lineage, job: F) -> Self {
        Self { ticket: Ticket::default(), lineage, job: UnsafeCell::new(Some(job)) }
    }

    /// Takes the job back, if the owner has not begun it. It is dropped here, and not by the owner.
    pub(super) fn leave(&self) {
        if self.ticket.leave() == Mine::Yes || seeded(Bug::LeaveWithJob) {
            drop(self.take());
        }
    }

    /// The closure. For the one who has it by the ticket.
    fn take(&self) -> Option<F> {
        // SAFETY: whoever calls this was told `Yes`, and nobody else ever is.
        self.job.with_mut(|job| unsafe { (*job).take() })
    }
}

/// A job whose sender waits for room.
impl<T, F: FnOnce(&T) + Send> Kept<T> for Errand<F> {
    fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    fn run(&self, on: &On<'_, T>) -> Outcome<()> {
        let Some(job) = self.take() else { return Ok(()) };
        caught(on.op, on.backtrace, || job(on.state))
    }

    fn abandon(&self) {
        drop(self.take());
    }
}

/// A call: its sender waits for the answer.
pub(super) type Call<R, F> = Slot<Outcome<R>, Errand<F>>;

impl<T, R: Send, F: FnOnce(&T) -> R + Send> Kept<T> for Call<R, F> {
    fn ticket(&self) -> &Ticket {
        &self.extra.ticket
    }

    fn lineage(&self) -> &Lineage {
        &self.extra.lineage
    }

    fn run(&self, on: &On<'_, T>) -> Outcome<()> {
        let Some(job) = self.extra.take() else { return Ok(()) };
        let result = caught(on.op, on.backtrace, || job(on.state));
        let panicked = result.as_ref().map(drop).map_err(Box::clone);
        self.settle(Ok(result));
        if seeded(Bug::SettleTwice) {
            self.settle(Err(Abandoned));
        }
        panicked
    }

    fn abandon(&self) {
        drop(self.extra.take());
        self.settle(Err(Abandoned));
    }
}
