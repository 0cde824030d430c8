//! A closure on its way to the owner.

#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Arc;

use super::capture::Capture;
use super::panics::{Backtrace, Outcome, caught};
use super::ticket::{Mine, Ticket};
use super::trace::QueuedAt;
use crate::platform::{self, Bug, UnsafeCell, seeded};
use crate::sync::{Abandoned, Slot};
use crate::wait::{At, Lineage, Op, Stamp, TaskId};

/// A job, with what the owner needs to know to choose it: 80 bytes.
pub(super) struct Job<T> {
    work: Work<T>,
    /// On whose behalf it acts, if it is a post; a call keeps its own.
    lineage: Option<Arc<Lineage>>,
    at: At,
    label: NonNull<u8>,
    label_length: u32,
    sender: Sender,
    queued: Stamp,
    queued_at: QueuedAt,
}

// SAFETY: the label is a `&'static str` in two parts; all else in it is `Send`.
unsafe impl<T> Send for Job<T> {}

enum Work<T> {
    /// Nobody waits for it.
    Post(Capture<T>),
    /// Somebody does.
    Kept(Promise<T>),
}

/// The promise to run what somebody waits for. Dropped, it tells them.
struct Promise<T>(Option<Arc<dyn Kept<T>>>);

/// A job that somebody waits for, on its way to an owner that looks: small enough for one cache line.
pub(super) struct Sent<T> {
    op: Op,
    sender: TaskId,
    queued_at: QueuedAt,
    promise: Promise<T>,
}

impl<T> Sent<T> {
    pub(super) fn new(op: Op, sender: TaskId, kept: Arc<dyn Kept<T>>) -> Self {
        Self { op, sender, queued_at: QueuedAt::now(), promise: Promise(Some(kept)) }
    }

    /// The owner is about to begin it.
    #[inline]
    pub(super) fn fetch(&self) {
        self.promise.0.as_deref().into_iter().for_each(platform::fetch);
    }
}

/// Who queued a job: enough of a task's number to tell it from others who queue jobs at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sender(u32);

impl From<TaskId> for Sender {
    fn from(task: TaskId) -> Self {
        Self((task.word() ^ (task.word() >> 32 << 20)) as u32)
    }
}

impl<T> Job<T> {
    /// A job that nobody waits for.
    #[inline(always)]
    pub(super) fn post<F: FnOnce(&T) + Send + 'static>(
        op: Op,
        lineage: Option<Arc<Lineage>>,
        sender: TaskId,
        job: F,
    ) -> Self {
        Self::new(op, lineage, sender, Work::Post(Capture::new(job)))
    }

    /// A job that is kept where whoever waits for it keeps it too.
    pub(super) fn kept(sent: Sent<T>) -> Self {
        let Sent { op, sender, queued_at, promise } = sent;
        Self { queued_at, ..Self::new(op, None, sender, Work::Kept(promise)) }
    }

    #[inline(always)]
    fn new(op: Op, lineage: Option<Arc<Lineage>>, sender: TaskId, work: Work<T>) -> Self {
        let (label, at) = op.parts();
        Self {
            work,
            lineage,
            at,
            label: NonNull::from(label).cast(),
            // A label longer than four gigabytes is cut.
            label_length: u32::try_from(label.len()).unwrap_or(0),
            sender: sender.into(),
            queued: Stamp::default(),
            queued_at: QueuedAt::default(),
        }
    }

    /// It goes into the queue at this moment.
    #[inline(always)]
    pub(super) fn queued(self, queued: Stamp, queued_at: QueuedAt) -> Self {
        Self { queued, queued_at, ..self }
    }

    pub(super) fn op(&self) -> Op {
        // SAFETY: the two parts of a `&'static str`, taken apart in `new`.
        let label = unsafe {
            let bytes = std::slice::from_raw_parts(self.label.as_ptr(), self.label_length as usize);
            std::str::from_utf8_unchecked(bytes)
        };
        Op::of_parts(label, self.at)
    }

    pub(super) fn queued_at(&self) -> QueuedAt {
        self.queued_at
    }

    /// On whose behalf it acts.
    pub(super) fn lineage(&self) -> Option<&Lineage> {
        match &self.work {
            Work::Post(_) => self.lineage.as_deref(),
            Work::Kept(promise) => promise.0.as_ref().map(|kept| kept.lineage()),
        }
    }

    /// The same as a post has it: to be handed on.
    pub(super) fn shared_lineage(&self) -> Option<Arc<Lineage>> {
        self.lineage.clone()
    }

    /// Whether somebody the owner waits for needs it.
    pub(super) fn is_needed(&self) -> bool {
        matches!(&self.work, Work::Kept(Promise(Some(kept))) if kept.ticket().is_needed())
    }

    /// Whether both were queued by one task.
    pub(super) fn has_sender_of(&self, other: &Self) -> bool {
        self.sender == other.sender
    }

    /// Whether it is this one, which its sender keeps too.
    pub(super) fn is(&self, other: &Arc<dyn Kept<T>>) -> bool {
        matches!(&self.work, Work::Kept(Promise(Some(kept))) if std::ptr::addr_eq(Arc::as_ptr(kept), Arc::as_ptr(other)))
    }

    /// Drops it unrun. Whoever waits for it is told; says whether there is nobody who waits, nor has taken it back.
    #[must_use]
    pub(super) fn refuse(self) -> bool {
        match self.work {
            Work::Post(_) => true,
            Work::Kept(mut promise) => promise.0.take().is_some_and(|kept| {
                if kept.ticket().begin() == Mine::No {
                    return false;
                }
                let is_accepted = kept.ticket().is_accepted();
                kept.abandon();
                is_accepted
            }),
        }
    }

    /// That it was queued has happened for the owner.
    pub(super) fn witness(&self) {
        self.queued.witness();
    }

    /// The owner takes it: `No` if whoever waited has taken it back.
    pub(super) fn begin(&self) -> Mine {
        self.witness();
        match &self.work {
            Work::Kept(Promise(Some(kept))) => kept.ticket().begin(),
            _ => Mine::Yes,
        }
    }

    /// Runs a job that has been begun.
    pub(super) fn run(&mut self, state: &T, backtrace: Backtrace) -> Outcome<()> {
        let op = self.op();
        match &mut self.work {
            Work::Post(capture) => caught(op, backtrace, || capture.call(state)),
            Work::Kept(promise) => promise.0.take().map_or(Ok(()), |kept| kept.run(op, state, backtrace)),
        }
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
    fn run(&self, op: Op, state: &T, backtrace: Backtrace) -> Outcome<()>;
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

    fn run(&self, op: Op, state: &T, backtrace: Backtrace) -> Outcome<()> {
        let Some(job) = self.take() else { return Ok(()) };
        caught(op, backtrace, || job(state))
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

    fn run(&self, op: Op, state: &T, backtrace: Backtrace) -> Outcome<()> {
        let Some(job) = self.extra.take() else { return Ok(()) };
        let result = caught(op, backtrace, || job(state));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(any(feature = "explore", feature = "tracing")))]
    #[test]
    fn a_job_has_80_bytes() {
        assert_eq!(size_of::<Job<u64>>(), 80);
    }

    #[test]
    fn the_label_of_a_job_is_that_of_its_operation() {
        let op = Op::new("count the things");
        let sender = TaskId::from_word(1).expect("it is not 0");
        let job = Job::<()>::post(op, None, sender, |()| ());
        assert_eq!(job.op(), op);
    }
}
