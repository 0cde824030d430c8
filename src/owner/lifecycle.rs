//! From the builder to the shutdown.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{BoxError, Panicked, ShutdownError, SpawnError};
use super::handle::{Handle, Shared};
use super::job::caught;
use super::mailbox::Mailbox;
use super::main_loop::{Duty, OwnerLoop, serve_all};
use super::policy::WaitOnOwner;
use crate::sync::{Abandoned, Reader, slot};
use crate::wait::{self, IntoOp, Local, Op, Request, Resource, Task, TaskId, Thread};

/// How an owner is to be made. See [`Owner::builder`].
#[derive(Clone, Debug)]
pub struct Builder {
    name: Arc<str>,
    policy: WaitOnOwner,
}

impl Builder {
    /// What a wait on the owner thread does; [`WaitOnOwner::Reject`] if nothing is said.
    #[must_use]
    pub fn wait_on_owner(mut self, policy: WaitOnOwner) -> Self {
        self.policy = policy;
        self
    }

    /// Starts a thread, makes the state on it, and waits until that is done. The state never leaves the
    /// thread, so it need not be `Send`.
    ///
    /// # Errors
    ///
    /// [`SpawnError`]: no thread, or `make` panicked.
    ///
    /// # Blocking
    ///
    /// Until `make` has returned; the edge leads to the new owner.
    ///
    /// ```
    /// use std::rc::Rc;
    /// let owner = impasse::Owner::builder("counter").spawn(|| Rc::new(41))?;
    /// assert_eq!(owner.handle().call("next", |n| **n + 1).unwrap(), 42);
    /// # Ok::<(), impasse::SpawnError>(())
    /// ```
    #[track_caller]
    pub fn spawn<T: 'static>(
        self,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Owner<T>, SpawnError> {
        self.try_spawn(move || Ok::<T, BoxError>(make()))
    }

    /// As [`spawn`](Self::spawn), for a state whose making can fail.
    ///
    /// # Errors
    ///
    /// [`SpawnError::State`] with the error of `make`; and as `spawn`.
    ///
    /// # Blocking
    ///
    /// As `spawn`.
    #[track_caller]
    pub fn try_spawn<T: 'static, E: Into<BoxError>>(
        self,
        make: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<Owner<T>, SpawnError> {
        let op = "spawn".into_op();
        let (task, duty) = self.prepare();
        let shared = duty.0.clone();
        let (made, ready) = slot(Some(task.id()));
        let (ended, stopped) = slot(Some(task.id()));
        let waited = Made { ready: &ready, owner: &shared.name };
        let owner = wait::door(Request::new(&waited, op), |inside| {
            let body = move |me: &Rc<Local>| {
                let state = match caught(op, make) {
                    Err(panicked) => return made.set(Err(panicked.into())),
                    Ok(Err(error)) => {
                        let (owner, source) = (duty.0.name.clone(), error.into());
                        return made.set(Err(SpawnError::State { owner, source }));
                    }
                    Ok(Ok(state)) => state,
                };
                made.set(Ok(()));
                ended.set(caught(op, || serve_all(me, &duty, state)));
            };
            let thread = task
                .start(|| format!("owner {}", shared.name), body)
                .map_err(|source| SpawnError::Thread { owner: shared.name.clone(), source })?;
            match inside.until(&ready)? {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error),
                Err(Abandoned) => unreachable!("the owner thread reports whatever comes of its state"),
            }
            Ok(Owner { handle: Handle::new(shared.clone()), ending: Some(Ending { stopped, thread }) })
        })?;
        Ok(owner)
    }

    /// An owner for a thread that exists already: its loop runs where [`OwnerLoop::run`] is called.
    ///
    /// ```
    /// let (vm, main_loop) = impasse::Owner::builder("vm").attach(String::from("state"));
    /// vm.post("look", |state| assert_eq!(state, "state"))?;
    /// vm.close();
    /// main_loop.run();
    /// # Ok::<(), impasse::Closed>(())
    /// ```
    pub fn attach<T: 'static>(self, state: T) -> (Handle<T>, OwnerLoop<T>) {
        let (task, duty) = self.prepare();
        (Handle::new(duty.0.clone()), OwnerLoop { duty, task, state })
    }

    fn prepare<T>(self) -> (Task, Duty<T>) {
        static KEYS: AtomicU64 = AtomicU64::new(1);
        let task = Task::new("owner", 0, self.name.clone());
        let shared = Arc::new(Shared {
            key: KEYS.fetch_add(1, Ordering::Relaxed),
            name: self.name,
            task: task.id(),
            policy: self.policy,
            mailbox: Mailbox::new(task.id()),
        });
        (task, Duty(shared))
    }
}

/// A running owner. Dropped, it is shut down.
pub struct Owner<T: 'static> {
    handle: Handle<T>,
    ending: Option<Ending>,
}

struct Ending {
    stopped: Reader<Result<(), Panicked>>,
    thread: Thread,
}

impl Owner<()> {
    /// Begins an owner of this name.
    #[must_use]
    pub fn builder(name: &str) -> Builder {
        Builder { name: name.into(), policy: WaitOnOwner::default() }
    }
}

impl<T: 'static> Owner<T> {
    /// A handle to the owner.
    #[must_use]
    pub fn handle(&self) -> Handle<T> {
        self.handle.clone()
    }

    /// Closes the owner and waits until it has run everything it accepted and dropped its state. Calls and
    /// posts from now on are refused; those that were accepted are run, and so are the settlements of runs
    /// that have been started.
    ///
    /// Dropping an owner does the same, and gives the error to nobody.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`]. The owner is closed in any case.
    ///
    /// # Blocking
    ///
    /// Until the owner has ended; the edge leads to the owner. From a job of this owner it does not wait.
    #[track_caller]
    pub fn shutdown(mut self) -> Result<(), ShutdownError> {
        self.end("shutdown".into_op())
    }

    fn end(&mut self, op: Op) -> Result<(), ShutdownError> {
        let Some(ending) = self.ending.take() else { return Ok(()) };
        self.handle.close();
        let owner: Arc<str> = self.handle.name().into();
        if self.handle.is_owner() {
            return Err(ShutdownError::OnOwner { owner });
        }
        let waited = Stopped { stopped: &ending.stopped, owner: &owner };
        let stopped = wait::door(Request::new(&waited, op), |inside| {
            Ok::<_, ShutdownError>(inside.until(&ending.stopped)?)
        })?;
        // Its last act was to settle the slot, so this is a matter of moments.
        ending.thread.join();
        match stopped {
            Ok(result) => Ok(result?),
            Err(Abandoned) => unreachable!("the owner thread reports how it ended"),
        }
    }
}

impl<T: 'static> Drop for Owner<T> {
    #[track_caller]
    fn drop(&mut self) {
        // A drop cannot fail: where waiting would never end, the owner ends by itself.
        let _ = self.end("drop".into_op());
    }
}

impl<T> fmt::Debug for Owner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").field("name", &self.handle.name()).finish_non_exhaustive()
    }
}

/// The state of an owner, while it is being made.
struct Made<'a, V> {
    ready: &'a Reader<V>,
    owner: &'a str,
}

impl<V: Send> Resource for Made<'_, V> {
    fn provider(&self) -> Option<TaskId> {
        self.ready.provider()
    }

    fn name(&self) -> String {
        format!("the state of owner `{}`", self.owner)
    }
}

/// The end of an owner.
struct Stopped<'a> {
    stopped: &'a Reader<Result<(), Panicked>>,
    owner: &'a str,
}

impl Resource for Stopped<'_> {
    fn provider(&self) -> Option<TaskId> {
        self.stopped.provider()
    }

    fn name(&self) -> String {
        format!("the end of owner `{}`", self.owner)
    }
}
