//! The engine, and what starts a run of it.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::error::RunError;
use super::run::{Run, RunHandle, RunResult, manner_here};
use crate::owner::{BoxError, Handle, WaitOnOwner, caught};
use crate::sync::atomic::AtomicU64;
use crate::sync::{Setter, slot};
use crate::wait::{self, Activation, IntoOp, Lineage, Local, Op, Task};

type Engine<T, In, Out> = dyn Fn(&Run<T>, In) -> Result<Out, BoxError> + Send + Sync;

/// The means to start runs: background work, each on a thread of its own, that may call back to an owner.
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
}

/// How a session is to be made. See [`Session::builder`].
#[derive(Debug)]
pub struct Builder<T: 'static> {
    name: Arc<str>,
    owner: Handle<T>,
    policy: Option<WaitOnOwner>,
}

impl<T: 'static> Session<T, (), ()> {
    /// Begins a session of this name whose runs may call back to `owner`.
    #[must_use]
    pub fn builder(name: &str, owner: &Handle<T>) -> Builder<T> {
        Builder { name: name.into(), owner: owner.clone(), policy: None }
    }
}

impl<T: 'static> Builder<T> {
    /// What a wait for a run of this session does on an owner thread, whatever that owner's policy is.
    #[must_use]
    pub fn wait_on_owner(mut self, policy: WaitOnOwner) -> Self {
        self.policy = Some(policy);
        self
    }

    /// The work of a run. It is given the run, through which it calls back to the owner, and the input.
    #[must_use]
    pub fn engine<In, Out, E: Into<BoxError>>(
        self,
        engine: impl Fn(&Run<T>, In) -> Result<Out, E> + Send + Sync + 'static,
    ) -> Session<T, In, Out> {
        let engine = Box::new(move |run: &Run<T>, input: In| engine(run, input).map_err(Into::into));
        let Self { name, owner, policy } = self;
        Session(Arc::new(Inner { name, owner, policy, engine, runs: AtomicU64::new(0) }))
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
        let (prepared, handle) = self.prepare(op);
        handle.wait_for(op, manner, || prepared.launch(input))
    }

    /// Starts a run and goes on.
    ///
    /// # Errors
    ///
    /// [`RunError::Thread`] if the operating system has no thread to give.
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
        let (prepared, handle) = self.prepare(op);
        prepared.launch(input)?;
        Ok(handle)
    }

    /// A run that has everything but its thread.
    fn prepare(&self, op: Op) -> (Prepared<T, In, Out>, RunHandle<T, Out>) {
        let id = self.0.runs.fetch_add(1) + 1;
        let task = Task::new("run", id, self.0.name.clone());
        let activation = Activation::begin();
        let lineage = wait::current().lineage.borrow().with(activation);
        let (result, reader) = slot(Some(task.id()));
        let handle = RunHandle {
            id,
            activation,
            session: self.0.name.clone(),
            owner: self.0.owner.clone(),
            policy: self.0.policy,
            result: reader,
        };
        (Prepared { session: self.0.clone(), id, op, task, lineage, result }, handle)
    }
}

struct Prepared<T: 'static, In, Out> {
    session: Arc<Inner<T, In, Out>>,
    id: u64,
    op: Op,
    task: Task,
    lineage: Lineage,
    result: Setter<RunResult<Out>>,
}

impl<T, In: Send + 'static, Out: Send + 'static> Prepared<T, In, Out> {
    fn launch(self, input: In) -> Result<(), RunError> {
        let Self { session, id, op, task, lineage, result } = self;
        let name = session.name.clone();
        let body = move |me: &Rc<Local>| {
            *me.lineage.borrow_mut() = lineage;
            let run = Run { id, owner: session.owner.clone() };
            let ended = caught(op, || (session.engine)(&run, input));
            result.set(match ended {
                Ok(Ok(out)) => Ok(out),
                Ok(Err(error)) => Err(RunError::of_engine(error)),
                Err(panicked) => Err(RunError::Panicked(panicked)),
            });
        };
        let started = task.start(|| format!("run {id} of {name}"), body);
        started.map(drop).map_err(|source| RunError::Thread { session: name, source })
    }
}

impl<T, In, Out> Clone for Session<T, In, Out> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T, In, Out> fmt::Debug for Session<T, In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("name", &self.0.name).finish_non_exhaustive()
    }
}
