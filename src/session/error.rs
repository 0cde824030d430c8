//! Why a run has no result.

use std::sync::Arc;
use std::time::Duration;

use crate::owner::{BoxError, CallError, Closed, Panicked, PostError, from_panicked, from_wait_error};
use crate::wait::{Cancelled, Deadlock, WaitError};

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The wait was refused because it was asked for by a job of an owner whose policy is
    /// [`Reject`](crate::WaitOnOwner::Reject). A `run` has not been started; a run that was waited for goes on.
    #[error(
        "{what} would block owner `{owner}`, which the work may call back: use `start` and `on_settled`, \
         wait on another thread, or make the owner serve (WaitOnOwner::Serve)"
    )]
    #[non_exhaustive]
    WaitOnOwner {
        /// The owner on whose thread the wait was asked for.
        owner: Arc<str>,
        /// What would have waited.
        what: String,
    },
    /// A run of the session goes on, and the session was not built to have several
    /// ([`concurrent`](crate::SessionBuilder::concurrent)). Nothing was started.
    #[error(
        "session `{session}` has an active run, #{active}: it ends or is cancelled before the next begins"
    )]
    #[non_exhaustive]
    Active {
        /// The session's name.
        session: Arc<str>,
        /// The number of the run that goes on.
        active: u64,
    },
    /// A wait of the run, or the wait for it, would have closed a cycle.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
    /// The run was cancelled, or the run on whose behalf somebody waited for it.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The session's owner is closed; a run that went on then was cancelled.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The time was up. Of [`run_timeout`](crate::Session::run_timeout), the run was cancelled; of
    /// [`wait_timeout`](crate::RunHandle::wait_timeout), it goes on.
    #[error("run #{run} of session `{session}` has not ended within {timeout:?}")]
    #[non_exhaustive]
    TimedOut {
        /// The session's name.
        session: Arc<str>,
        /// The number of the run.
        run: u64,
        /// How long the caller was ready to wait.
        timeout: Duration,
    },
    /// The engine returned an error.
    #[error("{0}")]
    Failed(#[source] BoxError),
    /// The engine panicked.
    #[error(transparent)]
    Panicked(Panicked),
    /// The run was dropped without an answer: by the spawner that it was given to.
    #[error("run #{run} of session `{session}` was dropped by its spawner before it ended")]
    #[non_exhaustive]
    Abandoned {
        /// The session's name.
        session: Arc<str>,
        /// The number of the run.
        run: u64,
    },
    /// The result has been taken from this handle by an earlier wait.
    #[error("the result of run #{run} of session `{session}` has been taken")]
    #[non_exhaustive]
    Taken {
        /// The session's name.
        session: Arc<str>,
        /// The number of the run.
        run: u64,
    },
    /// The operating system has no thread to give, or the spawner of the session refused.
    #[error("no thread for a run of session `{session}`")]
    #[non_exhaustive]
    Thread {
        /// The session's name.
        session: Arc<str>,
        /// What the system says.
        source: std::io::Error,
    },
}

from_wait_error!(RunError);
from_panicked!(RunError);

impl RunError {
    /// What the engine's error means: an owner that closed is told as such, and a deadlock that some wait of the run was refused for stays one, however
    /// the engine wrapped it.
    pub(super) fn of_engine(error: BoxError) -> Self {
        if let Some(deadlock) = Deadlock::behind(&*error) {
            return Self::Deadlock(deadlock.clone());
        }
        // A run whose call was refused because the owner closes ends as one that was told so while it waited.
        match (error.downcast_ref::<CallError>(), error.downcast_ref::<PostError>()) {
            (Some(CallError::Closed(closed)), _) | (_, Some(PostError::Closed(closed))) => {
                Self::Closed(closed.clone())
            }
            _ => Self::Failed(error),
        }
    }
}
