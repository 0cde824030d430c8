//! Why a run has no result.

use std::sync::Arc;

use crate::owner::{BoxError, Panicked};
use crate::wait::Deadlock;

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
    WaitOnOwner {
        /// The owner on whose thread the wait was asked for.
        owner: Arc<str>,
        /// What would have waited.
        what: String,
    },
    /// A wait of the run, or the wait for it, would have closed a cycle.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
    /// The engine returned an error.
    #[error("{0}")]
    Failed(#[source] BoxError),
    /// The engine panicked.
    #[error(transparent)]
    Panicked(Panicked),
    /// The operating system has no thread to give.
    #[error("no thread for a run of session `{session}`")]
    Thread {
        /// The session's name.
        session: Arc<str>,
        /// What the system says.
        source: std::io::Error,
    },
}

impl RunError {
    /// What the engine's error means: a deadlock that some wait of the run was refused for stays one, however
    /// the engine wrapped it.
    pub(super) fn of_engine(error: BoxError) -> Self {
        match Deadlock::behind(&*error) {
            Some(deadlock) => Self::Deadlock(deadlock.clone()),
            None => Self::Failed(error),
        }
    }
}
