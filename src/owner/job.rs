//! A closure on its way to the owner.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::Panicked;
use crate::wait::{Lineage, Op, Stamp, TaskId};

/// A job, with what the owner needs to know to choose it.
pub(super) struct Job<T> {
    pub(super) op: Op,
    /// On whose behalf it acts.
    pub(super) lineage: Lineage,
    /// Who queued it.
    pub(super) sender: TaskId,
    /// What had happened when it was queued.
    pub(super) queued: Stamp,
    /// Present if somebody waits for it.
    pub(super) ticket: Option<Arc<Ticket>>,
    /// Dropped without being run, it tells whoever waits.
    pub(super) body: Box<dyn FnOnce(&T) + Send>,
}

impl<T> Job<T> {
    /// Whether somebody the owner waits for needs it.
    pub(super) fn is_needed(&self) -> bool {
        self.ticket.as_ref().is_some_and(|ticket| ticket.needed.load(Ordering::Relaxed))
    }
}

/// What a caller and the owner both know of one call. Read and written under the lock of the mailbox, which
/// orders it; the atomics only share it.
#[derive(Debug, Default)]
pub(super) struct Ticket {
    /// The owner has taken the job from the queue.
    pub(super) begun: AtomicBool,
    /// The owner waits for something that waits for this job.
    pub(super) needed: AtomicBool,
}

/// Runs a user's closure; a panic becomes a value.
pub(crate) fn caught<R>(op: Op, body: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| Panicked::new(op, &*payload))
}
