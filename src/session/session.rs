//! The engine, and what starts a run of it.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::error::RunError;
use super::run::{Run, RunHandle, RunResult, manner_here};
use crate::owner::{Backtrace, BoxError, Handle, WaitOnOwner, caught};
use crate::platform::Unseen;
use crate::sync::atomic::AtomicU64;
use crate::sync::{Setter, slot};
use crate::wait::{
    self, Activation, Called, Cancel, IntoOp, Lineage, Local, Op, Standing, Task, WhereItRuns,
};

type Engine<T, In, Out> = dyn Fn(&Run<T>, In) -> Result<Out, BoxError> + Send + Sync;

/// Runs a piece of work on some thread, now or later.
type Spawner = dyn Fn(Box<dyn FnOnce() + Send>) -> io::Result<()> + Send + Sync;

/// The means to start runs: background work, each on a thread of its own, that may call back to an owner. One run
/// at a time, if it was not built to have [several](Builder::concurrent).
///
/// ```
/// use impasse::{Owner, Session};
/// let owner = Owner::builder("vm").spawn(|| 21)?;
/// let session = Session::builder("inference", &owner.handle())
///     .engine(|run, factor: i32| run.call("double", move |n| n * factor));
/// assert_eq!(session.run(2)?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session<T: 'static, In, Out>(Arc<Inner<T, In, Out>>);

struct Inner<T: 'static, In, Out> {
    name: Arc<str>,
    owner: Handle<T>,
    policy: Option<WaitOnOwner>,
    engine: Box<Engine<T, In, Out>>,
    runs: AtomicU64,
    /// The run that was begun last, unless there can be several.
    last: Option<Unseen<Option<Active>>>,
    spawner: Option<Arc<Spawner>>,
}

/// A run that may go on.
#[derive(Clone)]
struct Active {
    id: u64,
    cancel: Arc<Cancel>,
}

/// How a session is to be made. See [`Session::builder`].
#[must_use]
pub struct Builder<T: 'static> {
    name: Arc<str>,
    owner: Handle<T>,
    policy: Option<WaitOnOwner>,
    concurrent: bool,
    spawner: Option<Arc<Spawner>>,
}

impl<T: 'static> Session<T, (), ()> {
    /// Begins a session of this name whose runs may call back to `owner`.
    pub fn builder(name: &str, owner: &Handle<T>) -> Builder<T> {
        Builder { name: name.into(), owner: owner.clone(), policy: None, concurrent: false, spawner: None }
    }
}

impl<T: 'static> Builder<T> {
    /// What a wait for a run of this session does on an owner thread, whatever that owner's policy is.
    pub fn wait_on_owner(mut self, policy: WaitOnOwner) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Lets the session have several runs at a time. Otherwise the next is refused with [`RunError::Active`] while
    /// one goes on.
    pub fn concurrent(mut self) -> Self {
        self.concurrent = true;
        self
    }

    /// Where runs execute: `spawn` is given the work of each, to run it on some thread (a pool's, an executor's for
    /// blocking work), now or later. If nothing is said each run has a thread of this crate's, which is used again.
    ///
    /// Until the work begins nobody knows who will do it, so a run that waits in the spawner's queue counts as live:
    /// starvation there is not seen by the detector. Dropped unrun, the run ends with [`RunError::Abandoned`]. Inside
    /// an exploration runs are tasks of it, and `spawn` is not asked.
    ///
    /// # Errors
    ///
    /// What `spawn` returns reaches the starter as [`RunError::Thread`].
    pub fn spawner(
        mut self,
        spawn: impl Fn(Box<dyn FnOnce() + Send>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.spawner = Some(Arc::new(spawn));
        self
    }

    /// The work of a run. It is given the run, through which it calls back to the owner, and the input.
    #[must_use]
    pub fn engine<In, Out, E: Into<BoxError>>(
        self,
        engine: impl Fn(&Run<T>, In) -> Result<Out, E> + Send + Sync + 'static,
    ) -> Session<T, In, Out> {
        let engine = Box::new(move |run: &Run<T>, input: In| engine(run, input).map_err(Into::into));
        let Self { name, owner, policy, concurrent, spawner } = self;
        let last = (!concurrent).then(|| Unseen::new(None));
        Session(Arc::new(Inner { name, owner, policy, engine, runs: AtomicU64::new(0), last, spawner }))
    }
}

impl<T, In, Out> Session<T, In, Out>
where
    T: 'static,
    In: Send + 'static,
    Out: Send + 'static,
{
    /// Starts a run and waits for its result.
    ///
    /// # Errors
    ///
    /// [`RunError`]. Under [`WaitOnOwner::Reject`], from a job of an owner, [`RunError::WaitOnOwner`] before
    /// anything is started.
    ///
    /// # Blocking
    ///
    /// Until the run has ended; the edge of the wait-for graph leads to the run. What that means on an owner
    /// thread is the policy's matter: see [`WaitOnOwner`].
    #[track_caller]
    pub fn run(&self, input: In) -> Result<Out, RunError> {
        self.run_as("session.run", input)
    }

    /// As [`run`](Self::run), for at most this long; then the run is cancelled.
    ///
    /// # Errors
    ///
    /// [`RunError::TimedOut`]; and as `run`. Never a deadlock of this wait: one that ends by itself closes no cycle.
    ///
    /// # Blocking
    ///
    /// As `run`, and no verdict rests on the wait.
    #[track_caller]
    pub fn run_timeout(&self, timeout: Duration, input: In) -> Result<Out, RunError> {
        let op = "session.run_timeout".into_op();
        let manner = manner_here(self.0.policy, op)?;
        let (prepared, mut handle) = self.prepare()?;
        let result = handle.wait_for(op, manner, Some(timeout), Some(|| prepared.launch(op, input)));
        if matches!(result, Err(RunError::TimedOut { .. })) {
            handle.cancel();
        }
        result
    }

    /// As [`run`](Self::run), under this label or on behalf of a line of a script.
    ///
    /// # Errors
    ///
    /// As `run`.
    ///
    /// # Blocking
    ///
    /// As `run`.
    #[track_caller]
    pub fn run_as(&self, op: impl IntoOp, input: In) -> Result<Out, RunError> {
        let op = op.into_op();
        let manner = manner_here(self.0.policy, op)?;
        let (prepared, mut handle) = self.prepare()?;
        handle.wait_for(op, manner, None, Some(|| prepared.launch(op, input)))
    }

    /// Starts a run and goes on.
    ///
    /// # Errors
    ///
    /// [`RunError::Active`] if another goes on. [`RunError::Closed`] if the owner is closed. [`RunError::Thread`] if
    /// the operating system has no thread to give.
    ///
    /// # Blocking
    ///
    /// Never.
    #[track_caller]
    pub fn start(&self, input: In) -> Result<RunHandle<T, Out>, RunError> {
        self.start_as("session.start", input)
    }

    /// As [`start`](Self::start), under this label or on behalf of a line of a script.
    ///
    /// # Errors
    ///
    /// As `start`.
    ///
    /// # Blocking
    ///
    /// Never.
    #[track_caller]
    pub fn start_as(&self, op: impl IntoOp, input: In) -> Result<RunHandle<T, Out>, RunError> {
        let op = op.into_op();
        let (prepared, handle) = self.prepare()?;
        prepared.session.owner.arrive(op);
        prepared.launch(op, input)?;
        Ok(handle)
    }

    /// The number of the run that goes on, of a session that has one at a time.
    #[must_use]
    pub fn active(&self) -> Option<u64> {
        let last = self.0.last.as_ref()?.lock().clone()?;
        (!last.cancel.has_ended()).then_some(last.id)
    }

    /// Lets a run begin, if none goes on or there can be several.
    fn begin(&self, run: Active) -> Result<(), RunError> {
        let Some(last) = &self.0.last else { return Ok(()) };
        // The one before is asked where no lock is held, since asking is a step; so it may not be the last any more.
        let mut before = None::<Active>;
        loop {
            {
                let mut last = last.lock();
                let is_known = |last: &Active| {
                    before.as_ref().is_some_and(|before| Arc::ptr_eq(&before.cancel, &last.cancel))
                };
                if last.as_ref().is_none_or(is_known) {
                    *last = Some(run);
                    return Ok(());
                }
                before.clone_from(&last);
            }
            if let Some(active) = before.as_ref().filter(|before| !before.cancel.has_ended()) {
                return Err(RunError::Active { session: self.0.name.clone(), active: active.id });
            }
        }
    }

    /// A run that has everything but its thread.
    fn prepare(&self) -> Result<Pair<T, In, Out>, RunError> {
        let session = &self.0;
        let id = session.runs.fetch_add(1) + 1;
        let behalf = &wait::current().behalf;
        let called = Called { kind: "run", number: id, name: session.name.clone() };
        let cancel = Cancel::new(called, behalf.cancel());
        self.begin(Active { id, cancel: cancel.clone() })?;
        let going = Going { cancel: cancel.clone(), enrolled_with: None, has_ended: false };
        let task = Task::new("run", id, session.name.clone());
        let activation = Activation::begin();
        let lineage = behalf.with(activation, Some(cancel.clone()));
        // A spawner's queue is anybody's: who does the work is known when it begins.
        let (result, reader) = slot(session.spawner.is_none().then(|| task.id()));
        let handle = RunHandle {
            id,
            activation,
            session: session.name.clone(),
            owner: session.owner.clone(),
            policy: session.policy,
            cancel,
            result: Some(reader),
        };
        Ok((Prepared { session: session.clone(), id, task, lineage, result, going }, handle))
    }
}

/// What a run's thread is given, and what its starter is.
type Pair<T, In, Out> = (Prepared<T, In, Out>, RunHandle<T, Out>);

/// A run that goes on: its session has no other then, and its owner cancels it when it is closed. Dropped, it is
/// over, with an answer or without.
struct Going<T: 'static> {
    cancel: Arc<Cancel>,
    enrolled_with: Option<Handle<T>>,
    has_ended: bool,
}

impl<T> Going<T> {
    /// The run has an answer: whether it counts.
    fn end(mut self) -> Standing {
        self.has_ended = true;
        self.cancel.end()
    }
}

impl<T> Drop for Going<T> {
    fn drop(&mut self) {
        if !self.has_ended {
            let _ = self.cancel.end();
        }
        if let Some(owner) = self.enrolled_with.take() {
            owner.dismiss(&self.cancel);
        }
    }
}

struct Prepared<T: 'static, In, Out> {
    session: Arc<Inner<T, In, Out>>,
    id: u64,
    task: Task,
    lineage: Lineage,
    result: Setter<RunResult<Out>>,
    going: Going<T>,
}

impl<T, In: Send + 'static, Out: Send + 'static> Prepared<T, In, Out> {
    /// Starts the run. The step of that has been taken.
    fn launch(self, op: Op, input: In) -> Result<(), RunError> {
        let Self { session, id, task, lineage, result, mut going } = self;
        let owner = &session.owner;
        owner.enrol(&going.cancel)?;
        going.enrolled_with = Some(owner.clone());
        let (name, spawner) = (session.name.clone(), session.spawner.clone());
        // In this order, if the work is dropped: whoever learns of the end finds the session free.
        let unsettled = (going, result);
        let body = move |me: &Rc<Local>| {
            let unsettled = unsettled;
            let (going, result) = unsettled;
            result.is_provided_by(me.id);
            me.behalf.set(lineage);
            let run = Run { id, owner: session.owner.clone(), cancel: going.cancel.clone() };
            let ended = caught(op, Backtrace::Leave, || (session.engine)(&run, input));
            // Whoever learns of the end finds the session free.
            let ended = match going.end() {
                Standing::Answered => ended
                    .map_err(|panicked| RunError::from(*panicked))
                    .and_then(|answer| answer.map_err(RunError::of_engine)),
                Standing::Cancelled => Err(run.cancel.verdict().into()),
                Standing::Closed => Err(session.owner.closed().into()),
            };
            result.set(ended);
        };
        let place = match &spawner {
            None => WhereItRuns::ThreadOfOurs,
            Some(spawner) => WhereItRuns::Given(&**spawner),
        };
        task.start_somewhere(place, body).map_err(|source| RunError::Thread { session: name, source })
    }
}

impl<T, In, Out> Clone for Session<T, In, Out> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl<T, In, Out> fmt::Debug for Session<T, In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("name", &self.0.name).finish_non_exhaustive()
    }
}
