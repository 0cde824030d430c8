//! A run as its engine sees it, and as its starter sees it.

use std::fmt;
use std::sync::Arc;

use super::error::RunError;
use crate::owner::{CallError, Closed, Handle, WaitOnOwner, on_owner_thread};
use crate::sync::{Abandoned, Reader};
use crate::wait::{self, Activation, IntoOp, Manner, Op, Request, Resource, TaskId};

pub(super) type RunResult<Out> = Result<Out, RunError>;

/// A run, as its engine sees it.
pub struct Run<T: 'static> {
    pub(super) id: u64,
    pub(super) owner: Handle<T>,
}

impl<T: 'static> Run<T> {
    /// Runs `job` on the session's owner and waits for it: see [`Handle::call`].
    ///
    /// # Errors
    ///
    /// As [`Handle::call`]. If the owner waits for this run, under `Detect`, it is [`CallError::Deadlock`].
    ///
    /// # Blocking
    ///
    /// As [`Handle::call`].
    #[track_caller]
    pub fn call<R: Send + 'static>(
        &self,
        op: impl IntoOp,
        job: impl FnOnce(&T) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.owner.call(op, job)
    }

    /// The number of the run in its session, from 1.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The session's owner.
    #[must_use]
    pub fn owner(&self) -> &Handle<T> {
        &self.owner
    }
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A run, as its starter sees it. The result goes to one place: to [`wait`](Self::wait), or to
/// [`on_settled`](Self::on_settled). Dropped, the run goes on and its result is dropped.
#[must_use = "the result of the run goes to whoever asks this handle for it"]
pub struct RunHandle<T: 'static, Out> {
    pub(super) id: u64,
    pub(super) activation: Activation,
    pub(super) session: Arc<str>,
    pub(super) owner: Handle<T>,
    pub(super) policy: Option<WaitOnOwner>,
    pub(super) result: Reader<RunResult<Out>>,
}

impl<T: 'static, Out: Send + 'static> RunHandle<T, Out> {
    /// Waits for the run to end.
    ///
    /// # Errors
    ///
    /// [`RunError`].
    ///
    /// # Blocking
    ///
    /// As [`Session::run`](crate::Session::run).
    #[track_caller]
    pub fn wait(self) -> Result<Out, RunError> {
        let op = "run.wait".into_op();
        let manner = manner_here(self.policy, op)?;
        self.wait_for(op, manner, || Ok(()))
    }

    /// Settles the run on the session's owner: when the run has ended, `settle` runs there as a job, exactly
    /// once, with the result. An owner that is shut down meanwhile waits for it.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the owner is closed already; `settle` was dropped, the run goes on.
    ///
    /// # Blocking
    ///
    /// Never.
    #[track_caller]
    pub fn on_settled(
        self,
        op: impl IntoOp,
        settle: impl FnOnce(&T, Result<Out, RunError>) + Send + 'static,
    ) -> Result<(), Closed> {
        let op = op.into_op();
        let reservation = self.owner.reserve(op)?;
        self.result.then(move |result| {
            reservation.post(op, move |state| settle(state, ended(result)));
        });
        Ok(())
    }

    /// Whether the run has not ended yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.result.is_settled()
    }

    /// The number of the run in its session, from 1.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the run, which `launch` starts once the wait is past the door.
    pub(super) fn wait_for(
        self,
        op: Op,
        manner: Option<Manner>,
        launch: impl FnOnce() -> Result<(), RunError>,
    ) -> Result<Out, RunError> {
        let request = Request { awaits: Some(self.activation), manner, ..Request::new(&self, op) };
        wait::door(request, |inside| {
            launch()?;
            ended(inside.until(&self.result)?)
        })
    }
}

/// How the calling task waits for a run: by the policy of the session, or of the owner it is on.
///
/// # Errors
///
/// The policy is to refuse.
pub(super) fn manner_here(of_session: Option<WaitOnOwner>, op: Op) -> Result<Option<Manner>, RunError> {
    let Some((owner, of_owner)) = on_owner_thread(&wait::current()) else { return Ok(None) };
    match of_session.unwrap_or(of_owner) {
        WaitOnOwner::Reject => {
            Err(RunError::WaitOnOwner { owner, what: format!("`{}` ({})", op.label, op.site) })
        }
        policy => Ok(Some(policy.manner())),
    }
}

fn ended<Out>(result: Result<RunResult<Out>, Abandoned>) -> RunResult<Out> {
    match result {
        Ok(result) => result,
        Err(Abandoned) => unreachable!("a run that was launched sets its result, however it ends"),
    }
}

impl<T: 'static, Out: Send> Resource for RunHandle<T, Out> {
    fn provider(&self) -> Option<TaskId> {
        self.result.provider()
    }

    fn name(&self) -> String {
        format!("run #{} of session `{}`", self.id, self.session)
    }
}

impl<T, Out> fmt::Debug for RunHandle<T, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunHandle")
            .field("session", &self.session)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
