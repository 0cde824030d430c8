//! A closure on its way to the owner.

#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Arc;

use super::capture::Capture;
use super::error::Panicked;
use super::panics::{Backtrace, caught};
use super::ticket::{Mine, Ticket};
use super::trace::QueuedAt;
use crate::platform::UnsafeCell;
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
    #[inline]
    pub(super) fn post<F: FnOnce(&T) + Send + 'static>(
        op: Op,
        lineage: Option<Arc<Lineage>>,
        sender: TaskId,
        job: F,
    ) -> Self {
        Self::new(op, lineage, sender, Work::Post(Capture::new(job)))
    }

    /// A job that is kept where whoever waits for it keeps it too.
    pub(super) fn kept(op: Op, sender: TaskId, kept: Arc<dyn Kept<T>>) -> Self {
        Self::new(op, None, sender, Work::Kept(Promise(Some(kept))))
    }

    #[inline]
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

    /// It goes into the queue now.
    pub(super) fn is_queued(&mut self) {
        self.queued = Stamp::here();
        self.queued_at = QueuedAt::now();
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

    /// Whether somebody is told if it is dropped.
    pub(super) fn tells(&self) -> bool {
        matches!(&self.work, Work::Kept(Promise(kept)) if kept.as_ref().is_none_or(|kept| !kept.ticket().has_room()))
    }

    /// What it shares with whoever waits for it.
    pub(super) fn shared(&self) -> Option<&Arc<dyn Kept<T>>> {
        match &self.work {
            Work::Kept(promise) => promise.0.as_ref(),
            Work::Post(_) => None,
        }
    }

    /// The owner takes it: `No` if whoever waited has taken it back.
    pub(super) fn begin(&self) -> Mine {
        self.queued.witness();
        match &self.work {
            Work::Kept(Promise(Some(kept))) => kept.ticket().begin(),
            _ => Mine::Yes,
        }
    }

    /// Runs a job that has been begun.
    pub(super) fn run(self, state: &T, backtrace: Backtrace) -> Result<(), Panicked> {
        let op = self.op();
        match self.work {
            Work::Post(capture) => caught(op, backtrace, || capture.call(state)),
            Work::Kept(mut promise) => promise.0.take().map_or(Ok(()), |kept| kept.run(op, state, backtrace)),
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
    fn run(&self, op: Op, state: &T, backtrace: Backtrace) -> Result<(), Panicked>;
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
    pub(super) fn leave(&self) -> Mine {
        let mine = self.ticket.leave();
        if mine == Mine::Yes {
            drop(self.take());
        }
        mine
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

    fn run(&self, op: Op, state: &T, backtrace: Backtrace) -> Result<(), Panicked> {
        let Some(job) = self.take() else { return Ok(()) };
        caught(op, backtrace, || job(state))
    }

    fn abandon(&self) {
        drop(self.take());
    }
}

/// A call: its sender waits for the answer.
pub(super) type Call<R, F> = Slot<Result<R, Panicked>, Errand<F>>;

impl<T, R: Send, F: FnOnce(&T) -> R + Send> Kept<T> for Call<R, F> {
    fn ticket(&self) -> &Ticket {
        &self.extra.ticket
    }

    fn lineage(&self) -> &Lineage {
        &self.extra.lineage
    }

    fn run(&self, op: Op, state: &T, backtrace: Backtrace) -> Result<(), Panicked> {
        let Some(job) = self.extra.take() else { return Ok(()) };
        let result = caught(op, backtrace, || job(state));
        let panicked = result.as_ref().map(drop).map_err(Clone::clone);
        self.settle(Ok(result));
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
        let job = Job::<()>::post(op, None, crate::wait::current().id, |()| ());
        assert_eq!(job.op(), op);
    }
}
