//! A run as its engine sees it, and as its starter sees it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::error::RunError;
use crate::owner::{CallError, Closed, Handle, PostError, WaitOnOwner, on_owner_thread};
use crate::platform::{Bug, seeded};
use crate::sync::{Abandoned, Arriving, Reader, Settled};
use crate::wait::Awaited as _;
use crate::wait::{
    self, Activation, Arrival, Cancel, IntoOp, Manner, Op, Providers, Request, Resource, Standing,
};

pub(super) type RunResult<Out> = Result<Out, RunError>;

/// A run, as its engine sees it.
pub struct Run<T: 'static> {
    pub(super) id: u64,
    pub(super) owner: Handle<T>,
    pub(super) cancel: Arc<Cancel>,
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

    /// Queues `job` on the session's owner and goes on: see [`Handle::post`].
    ///
    /// # Errors
    ///
    /// As [`Handle::post`].
    ///
    /// # Blocking
    ///
    /// Never waits for the owner.
    #[track_caller]
    pub fn post(&self, op: impl IntoOp, job: impl FnOnce(&T) + Send + 'static) -> Result<(), PostError> {
        self.owner.post(op, job)
    }

    /// Whether the run was cancelled, or one that it is part of: for an engine that computes for long between its
    /// waits. Waits find out by themselves.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
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

/// The means to cancel a run from anywhere: clone it, send it.
#[derive(Clone, Debug)]
pub struct Canceller(Arc<Cancel>);

impl Canceller {
    /// Cancels the run: see [`RunHandle::cancel`].
    pub fn cancel(&self) -> bool {
        self.0.cancel()
    }
}

/// A run, as its starter sees it. The result goes to one place: to [`wait`](Self::wait) or `.await`, or to
/// [`on_settled`](Self::on_settled). Dropped, the run goes on and its result is dropped.
#[must_use = "the result of the run goes to whoever asks this handle for it"]
pub struct RunHandle<T: 'static, Out> {
    pub(super) id: u64,
    pub(super) activation: Activation,
    pub(super) session: Arc<str>,
    pub(super) owner: Handle<T>,
    pub(super) policy: Option<WaitOnOwner>,
    pub(super) cancel: Arc<Cancel>,
    /// None once the result has been taken.
    pub(super) result: Option<Reader<RunResult<Out>>>,
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
    pub fn wait(mut self) -> Result<Out, RunError> {
        let op = "run.wait".into_op();
        let manner = manner_here(self.policy, op)?;
        self.wait_for(op, manner, None, NOTHING)
    }

    /// As [`wait`](Self::wait), for at most this long. The run goes on if the time is up, and can be waited for
    /// again.
    ///
    /// # Errors
    ///
    /// [`RunError::TimedOut`]; [`RunError::Taken`] if an earlier wait has returned the result; and as `wait`. Never
    /// a deadlock of this wait: one that ends by itself closes no cycle.
    ///
    /// # Blocking
    ///
    /// As `wait`, and no verdict rests on it.
    #[track_caller]
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Out, RunError> {
        let op = "run.wait_timeout".into_op();
        let manner = manner_here(self.policy, op)?;
        self.wait_for(op, manner, Some(timeout), NOTHING)
    }

    /// Settles the run on the session's owner: when the run has ended, `settle` runs there as a job, exactly
    /// once, with the result. An owner that is drained meanwhile waits for it; one that is closed with
    /// [`Shutdown::Now`](crate::Shutdown::Now) drops it, and tells the hook of what does not run.
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
        mut self,
        op: impl IntoOp,
        settle: impl FnOnce(&T, Result<Out, RunError>) + Send + 'static,
    ) -> Result<(), Closed> {
        let op = op.into_op();
        let reservation = self.owner.reserve(op)?;
        let ending = self.ending();
        match self.result.take() {
            Some(result) => result.then(move |result| {
                reservation.post(op, move |state| settle(state, ending.of(result)));
            }),
            None => {
                let Ending { session, run, .. } = ending;
                reservation.post(op, move |state| settle(state, Err(RunError::Taken { session, run })));
            }
        }
        Ok(())
    }

    /// Cancels the run: every wait on its behalf ends with an error, at once, on whichever thread it is (its calls,
    /// the runs that are part of it, locks); and its result is [`RunError::Cancelled`], whatever the engine makes of
    /// that. `false` if it is too late: the engine had answered.
    ///
    /// A job that has begun runs to its end. An engine that computes finds out by
    /// [`Run::is_cancelled`], or not at all.
    ///
    /// # Blocking
    ///
    /// For as long as it takes to look at all tasks that wait.
    pub fn cancel(&self) -> bool {
        self.cancel.cancel()
    }

    /// The means to cancel the run where this handle is not.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(self.cancel.clone())
    }

    /// Whether the run has not ended yet.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.result.as_ref().is_some_and(|result| !result.is_settled())
    }

    /// The number of the run in its session, from 1.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    fn ending(&self) -> Ending {
        Ending {
            session: self.session.clone(),
            run: self.id,
            cancel: self.cancel.clone(),
            closed: self.owner.closed(),
        }
    }

    /// Waits for the run, which `launch`, if it is given, starts once the wait is past the door.
    pub(super) fn wait_for(
        &mut self,
        op: Op,
        manner: Option<Manner>,
        timeout: Option<Duration>,
        launch: Option<impl FnOnce() -> Result<(), RunError>>,
    ) -> Result<Out, RunError> {
        let is_new = launch.is_some();
        let (session, run) = (self.session.clone(), self.id);
        let Some(result) = &self.result else { return Err(RunError::Taken { session, run }) };
        let (awaits, timed) = (Some(self.activation), timeout.is_some());
        let waited = Ended { result, session: &self.session, run };
        let arrival = if is_new { Arrival::As(self.owner.arrival()) } else { Arrival::Alone };
        let request = Request { awaits, manner, timed, arrival, ..Request::new(&waited, op) };
        let settled = wait::door(request, |inside| {
            launch.map_or(Ok(()), |launch| launch())?;
            match timeout {
                None => Ok(Some(inside.until(result)?)),
                Some(_) => Ok::<_, RunError>(inside.until_timeout(result, result.object(), timeout)?),
            }
        })?;
        match settled {
            Some(settled) => {
                self.result = None;
                self.ending().of(settled)
            }
            None => Err(RunError::TimedOut { session, run, timeout: timeout.unwrap_or_default() }),
        }
    }
}

/// The run has been started.
const NOTHING: Option<fn() -> Result<(), RunError>> = None;

/// How the calling task waits for a run: by the policy of the session, or of the owner it is on.
///
/// # Errors
///
/// The policy is to refuse.
pub(super) fn manner_here(of_session: Option<WaitOnOwner>, op: Op) -> Result<Option<Manner>, RunError> {
    let Some((owner, of_owner)) = on_owner_thread(&wait::current()) else { return Ok(None) };
    match of_session.unwrap_or(of_owner) {
        WaitOnOwner::Reject if !seeded(Bug::RejectNothing) => {
            Err(RunError::WaitOnOwner { owner, what: format!("`{}` ({})", op.label, op.site()) })
        }
        policy => Ok(Some(policy.manner())),
    }
}

/// What is known of a run that has ended.
#[derive(Clone)]
struct Ending {
    session: Arc<str>,
    run: u64,
    cancel: Arc<Cancel>,
    closed: Closed,
}

impl Ending {
    fn of<Out>(self, result: Settled<RunResult<Out>>) -> RunResult<Out> {
        let Self { session, run, cancel, closed } = self;
        result.unwrap_or_else(|Abandoned| match cancel.end() {
            Standing::Answered => Err(RunError::Abandoned { session, run }),
            Standing::Cancelled => Err(cancel.verdict().into()),
            Standing::Closed => Err(closed.into()),
        })
    }
}

/// The end of a run, as the graph sees it.
struct Ended<'a, Out> {
    result: &'a Reader<RunResult<Out>>,
    session: &'a str,
    run: u64,
}

impl<Out: Send> Resource for Ended<'_, Out> {
    fn providers(&self) -> Providers {
        Providers::one(self.result.provider())
    }

    fn name(&self) -> String {
        format!("run #{} of session `{}`", self.run, self.session)
    }
}

/// The future of a run's result: see [`RunHandle`]. Waiting for it is no wait of the calling thread, so the detector
/// does not see it.
#[must_use = "a future gives its value to whoever awaits it"]
pub struct Outcome<Out> {
    arriving: Option<Arriving<RunResult<Out>>>,
    ending: Ending,
}

impl<T: 'static, Out: Send + 'static> IntoFuture for RunHandle<T, Out> {
    type Output = Result<Out, RunError>;
    type IntoFuture = Outcome<Out>;

    fn into_future(self) -> Outcome<Out> {
        let ending = self.ending();
        Outcome { arriving: self.result.map(Arriving::of), ending }
    }
}

impl<Out: Send + 'static> Future for Outcome<Out> {
    type Output = Result<Out, RunError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { arriving, ending } = &*self;
        let Some(arriving) = arriving else {
            let Ending { session, run, .. } = ending.clone();
            return Poll::Ready(Err(RunError::Taken { session, run }));
        };
        let settled = ready!(arriving.poll(context));
        Poll::Ready(ending.clone().of(settled))
    }
}

impl<Out> fmt::Debug for Outcome<Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("session", &self.ending.session)
            .field("run", &self.ending.run)
            .finish_non_exhaustive()
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
