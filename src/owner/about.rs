//! What the owner needs to know of a job to choose it, whatever the job does.

#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::Arc;

use super::trace::QueuedAt;
use crate::wait::{At, Lineage, Op, Stamp, TaskId};

/// Who queued a job, what it is called, on whose behalf it acts, when it was queued.
///
/// In a burst of posts these are the same for one after the other: see `block.rs`.
#[derive(Clone)]
pub(super) struct About {
    /// Of a post; a call keeps its own.
    lineage: Option<Arc<Lineage>>,
    at: At,
    label: NonNull<u8>,
    who: SenderAndLength,
    queued: Stamp,
    queued_at: QueuedAt,
}

// SAFETY: the label is a `&'static str` in two parts; all else in it is `Send`.
unsafe impl Send for About {}

/// Who queued a job: enough of a task's number to tell it from others who queue jobs at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sender(u32);

/// The sender, and how long the label is. In one word, since a processor that reads in one piece what was just written
/// in two has to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
struct SenderAndLength(u64);

impl SenderAndLength {
    #[inline(always)]
    fn new(Sender(sender): Sender, label: &str) -> Self {
        // A label longer than four gigabytes is cut.
        Self(u64::from(sender) << 32 | u64::from(u32::try_from(label.len()).unwrap_or(0)))
    }

    fn sender(self) -> Sender {
        Sender((self.0 >> 32) as u32)
    }

    fn label_length(self) -> usize {
        self.0 as u32 as usize
    }
}

impl From<TaskId> for Sender {
    fn from(task: TaskId) -> Self {
        Self((task.word() ^ (task.word() >> 32 << 20)) as u32)
    }
}

impl About {
    /// Of a job that is queued at this moment.
    #[inline(always)]
    pub(super) fn new(op: Op, lineage: Option<Arc<Lineage>>, sender: TaskId) -> Self {
        Self::of(op, lineage, sender.into(), Stamp::here())
    }

    /// Of no job.
    pub(super) fn none() -> Self {
        Self::of(Op::unasked(""), None, Sender(0), Stamp::default())
    }

    #[inline(always)]
    fn of(op: Op, lineage: Option<Arc<Lineage>>, sender: Sender, queued: Stamp) -> Self {
        let (label, at) = op.parts();
        Self {
            lineage,
            at,
            label: NonNull::from(label).cast(),
            who: SenderAndLength::new(sender, label),
            queued,
            queued_at: QueuedAt::now(),
        }
    }

    /// Whether it says the same, word for word.
    #[inline(always)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let lineage = |about: &Self| about.lineage.as_ref().map(Arc::as_ptr);
        self.at.to_ptr() == other.at.to_ptr()
            && (self.label, self.who) == (other.label, other.who)
            && lineage(self) == lineage(other)
            && (self.queued, self.queued_at) == (other.queued, other.queued_at)
    }

    pub(super) fn op(&self) -> Op {
        // SAFETY: the two parts of a `&'static str`, taken apart in `new`.
        let label = unsafe {
            let bytes = std::slice::from_raw_parts(self.label.as_ptr(), self.who.label_length());
            std::str::from_utf8_unchecked(bytes)
        };
        Op::of_parts(label, self.at)
    }

    /// On whose behalf a post acts, as it is handed on.
    pub(super) fn lineage(&self) -> Option<&Arc<Lineage>> {
        self.lineage.as_ref()
    }

    /// The same, taken away: nobody holds on to those on whose behalf a job has acted.
    pub(super) fn take_lineage(&mut self) -> Option<Arc<Lineage>> {
        self.lineage.take()
    }

    pub(super) fn queued_at(&self) -> QueuedAt {
        self.queued_at
    }

    /// Whether both were queued by one task.
    pub(super) fn has_sender_of(&self, other: &Self) -> bool {
        self.who.sender() == other.who.sender()
    }

    /// That it was queued has happened for the owner.
    pub(super) fn witness(&self) {
        self.queued.witness();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_is_the_one_that_was_asked_for() {
        let op = Op::new("count the things");
        let sender = TaskId::from_word(1).expect("it is not 0");
        assert_eq!(About::new(op, None, sender).op(), op);
    }

    #[test]
    fn two_that_differ_in_anything_are_not_the_same() {
        let [one, two] = [1, 2].map(|word| TaskId::from_word(word).expect("it is not 0"));
        let op = Op::new("count");
        let shared = Arc::new(Lineage::default());
        let about = About::new(op, Some(shared.clone()), one);
        assert!(about.is_same(&About::new(op, Some(shared.clone()), one)));
        let other_lineage = Some(Arc::new(Lineage::default()));
        for other in [
            About::new(op, Some(shared.clone()), two),
            About::new(op, None, one),
            About::new(op, other_lineage, one),
            About::new(op.with_label("coun"), Some(shared.clone()), one),
            About::new(Op::new("count"), Some(shared), one),
        ] {
            assert!(!about.is_same(&other));
        }
    }
}
