//! What a call, a post, a spawn and a shutdown can end in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::panics::message_of;
use crate::platform::Caught;
use crate::wait::{self, Cancelled, Deadlock, Op, WaitError};

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
#[derive(Clone)]
#[non_exhaustive]
pub struct Panicked {
    /// What was being done, and who asked for it.
    pub op: Op,
    /// The panic's message.
    pub message: String,
    /// The file and the line that panicked, where the panic hook told us.
    pub at: Option<(String, u32)>,
    backtrace: Option<Arc<std::backtrace::Backtrace>>,
    /// It was no panic of the closure's own, but a wait in it that has no error to return.
    because: Option<WaitError>,
}

impl Panicked {
    pub(super) fn new(op: Op, caught: Caught) -> Self {
        let Caught { payload, at, backtrace } = caught;
        let because = wait::unwound_by(&*payload);
        let message = because.as_ref().map_or_else(|| message_of(&*payload), ToString::to_string);
        Self { op, message, at, backtrace, because }
    }

    /// The backtrace of the panic, if the owner was built to keep it: see
    /// [`Builder::backtraces`](crate::OwnerBuilder::backtraces).
    #[must_use]
    pub fn backtrace(&self) -> Option<&std::backtrace::Backtrace> {
        self.backtrace.as_deref()
    }

    /// The error of the wait that unwound the closure for want of another way to tell it.
    pub(crate) fn wait_error(&self) -> Option<WaitError> {
        self.because.clone()
    }

    /// The message of a panic, from what [`std::panic::catch_unwind`] returns.
    #[must_use]
    pub fn message_of(payload: &(dyn std::any::Any + Send)) -> String {
        message_of(payload)
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}) panicked", self.op.label, self.op.site())?;
        if let Some((file, line)) = &self.at {
            write!(f, " at {file}:{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panicked({self})")
    }
}

impl PartialEq for Panicked {
    fn eq(&self, other: &Self) -> bool {
        (self.op, &self.message, &self.at) == (other.op, &other.message, &other.at)
    }
}

impl Eq for Panicked {}

impl std::error::Error for Panicked {}

/// Why a call has no result.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The wait would have closed a cycle. The job was not queued, or, on an owner that has served meanwhile, has been
    /// taken back.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
    /// The owner did not accept the job, or ended before it ran.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The job panicked. The owner lives on.
    #[error(transparent)]
    Panicked(Panicked),
    /// The time was up. A job that had not begun by then does not run; one that had runs to its end, and its result
    /// is dropped.
    #[error("no answer from owner `{owner}` within {timeout:?}")]
    #[non_exhaustive]
    TimedOut {
        /// The owner's name.
        owner: Arc<str>,
        /// How long the caller was ready to wait.
        timeout: Duration,
    },
    /// The run on whose behalf the caller waited was cancelled. As for the job, see
    /// [`TimedOut`](Self::TimedOut).
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Why a post was not accepted. Its job was dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// The owner is closed.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The queue has no room: see [`Builder::capacity`](crate::OwnerBuilder::capacity).
    #[error("the queue of owner `{owner}` is full: it holds {capacity} jobs")]
    #[non_exhaustive]
    Full {
        /// The owner's name.
        owner: Arc<str>,
        /// How many jobs it holds.
        capacity: usize,
    },
    /// Waiting for room would have closed a cycle, such as that of a job which waits for room in the queue of its
    /// own owner.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
    /// The run on whose behalf the sender waited for room was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Why there is no owner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The operating system has no thread to give.
    #[error("no thread for owner `{owner}`")]
    #[non_exhaustive]
    Thread {
        /// The owner's name.
        owner: Arc<str>,
        /// What the system says.
        source: std::io::Error,
    },
    /// The closure that makes the state panicked.
    #[error(transparent)]
    Panicked(Panicked),
    /// The closure that makes the state failed.
    #[error("the state of owner `{owner}` could not be made: {source}")]
    #[non_exhaustive]
    State {
        /// The owner's name.
        owner: Arc<str>,
        /// Its error.
        source: BoxError,
    },
    /// Making the state waits for the task that waits for the state.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
    /// The run on whose behalf the owner was to be made was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Why a shutdown did not see the owner end. The owner is closed all the same, and ends by itself as soon as
/// it has run what it accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// A job of the owner asked for it, and would have waited for its own end.
    #[error("owner `{owner}` cannot wait for its own end: shut it down from another thread")]
    #[non_exhaustive]
    OnOwner {
        /// The owner's name.
        owner: Arc<str>,
    },
    /// The owner waits, directly or through others, for the task that would have waited.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
    /// The state panicked when it was dropped.
    #[error(transparent)]
    Panicked(Panicked),
    /// The run on whose behalf the caller waited was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// An error of a wait is one of whatever the wait was for.
macro_rules! from_wait_error {
    ($($error:ty),*) => {$(
        impl From<WaitError> for $error {
            fn from(error: WaitError) -> Self {
                match error {
                    WaitError::Deadlock(deadlock) => deadlock.into(),
                    WaitError::Cancelled(cancelled) => cancelled.into(),
                }
            }
        }
    )*};
}
pub(crate) use from_wait_error;

from_wait_error!(CallError, PostError, SpawnError, ShutdownError);

/// A panic by which a wait told its error is that error.
macro_rules! from_panicked {
    ($($error:ty),*) => {$(
        impl From<Panicked> for $error {
            fn from(panicked: Panicked) -> Self {
                match panicked.wait_error() {
                    Some(error) => error.into(),
                    None => Self::Panicked(panicked),
                }
            }
        }
    )*};
}
pub(crate) use from_panicked;

from_panicked!(CallError, SpawnError, ShutdownError);

/// Why an accepted job will not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unrun {
    /// Its deadline passed in the queue.
    #[error("its deadline passed in the queue")]
    Expired,
    /// The owner was closed with [`Shutdown::Now`](crate::Shutdown::Now), or its loop never ran.
    #[error("the owner was closed before it ran")]
    Closed,
}
