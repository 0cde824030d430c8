//! What a call, a post, a spawn and a shutdown can end in.

use std::any::Any;
use std::sync::Arc;

use crate::wait::{Deadlock, Op};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Nothing more is accepted: the owner was shut down or dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("owner `{owner}` is closed")]
#[non_exhaustive]
pub struct Closed {
    /// The owner's name.
    pub owner: Arc<str>,
}

/// A closure panicked. Whoever ran it lives on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` ({}) panicked: {message}", op.label, op.site)]
#[non_exhaustive]
pub struct Panicked {
    /// What was being done, and who asked for it.
    pub op: Op,
    /// The panic's message.
    pub message: String,
}

impl Panicked {
    pub(crate) fn new(op: Op, payload: &(dyn Any + Send)) -> Self {
        Self { op, message: Self::message_of(payload) }
    }

    /// The message of a panic, from what [`std::panic::catch_unwind`] returns.
    #[must_use]
    pub fn message_of(payload: &(dyn Any + Send)) -> String {
        payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned())
    }
}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The wait would have closed a cycle. The job was not queued.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
    /// The owner did not accept the job, or ended before it ran.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The job panicked. The owner lives on.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// Why there is no owner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The operating system has no thread to give.
    #[error("no thread for owner `{owner}`")]
    Thread {
        /// The owner's name.
        owner: Arc<str>,
        /// What the system says.
        source: std::io::Error,
    },
    /// The closure that makes the state panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// The closure that makes the state failed.
    #[error("the state of owner `{owner}` could not be made: {source}")]
    State {
        /// The owner's name.
        owner: Arc<str>,
        /// Its error.
        source: BoxError,
    },
    /// Making the state waits for the task that waits for the state.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
}

/// Why a shutdown did not see the owner end. The owner is closed all the same, and ends by itself as soon as
/// it has run what it accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// A job of the owner asked for it, and would have waited for its own end.
    #[error("owner `{owner}` cannot wait for its own end: shut it down from another thread")]
    OnOwner {
        /// The owner's name.
        owner: Arc<str>,
    },
    /// The owner waits, directly or through others, for the task that would have waited.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
    /// The state panicked when it was dropped.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}
