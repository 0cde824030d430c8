//! From the builder to the shutdown.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::error::{BoxError, Panicked, ShutdownError, SpawnError, Unrun};
use super::handle::Handle;
use super::mailbox::Mailbox;
use super::main_loop::{Duty, OwnerLoop, serve_all};
use super::panics::{Backtrace, caught};
use super::policy::WaitOnOwner;
use super::resilience::{AfterPanic, GoOn, Resilience};
use super::shared::{OnUnrun, Shared};
use super::stall::{self, Stall, Watch, WatchFor};
use super::waits::End;
use crate::platform::{self, Unseen};
use crate::sync::{Abandoned, Reader, slot};
use crate::wait::{self, IntoOp, Local, Op, Providers, Request, Resource, Task, Thread};

/// How an owner is to be made. See [`Owner::builder`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder<P = GoOn> {
    name: Arc<str>,
    policy: WaitOnOwner,
    capacity: Option<usize>,
    backtrace: Backtrace,
    on_unrun: OnUnrun,
    watch: Option<WatchFor>,
    on_panic: P,
}

impl<P> Builder<P> {
    /// What a wait on the owner thread does; [`WaitOnOwner::Reject`] if nothing is said.
    pub fn wait_on_owner(mut self, policy: WaitOnOwner) -> Self {
        self.policy = policy;
        self
    }

    /// How many posts may be queued, at least one: [`Handle::post`] returns
    /// [`PostError::Full`](crate::PostError::Full) then, and [`Handle::post_wait`] waits. A call is queued in any
    /// case, since its caller waits and sends no more meanwhile. Unbounded if nothing is said.
    pub fn capacity(mut self, jobs: usize) -> Self {
        self.capacity = Some(jobs.max(1));
        self
    }

    /// Calls `hook` for every post that was accepted and will not run: its deadline passed, or the owner was closed
    /// with [`Shutdown::Now`]. On the thread that finds out; the hook must not wait for the owner.
    pub fn on_unrun(mut self, hook: impl Fn(Op, Unrun) + Send + Sync + 'static) -> Self {
        self.on_unrun = OnUnrun(Some(Arc::new(hook)));
        self
    }

    /// Keeps the backtrace of each panic of a job: [`Panicked::backtrace`]. The first one costs a tenth of a second,
    /// the others milliseconds.
    pub fn backtraces(mut self) -> Self {
        self.backtrace = Backtrace::Keep;
        self
    }

    /// Decides what the owner does after a job has panicked, which may have left the state in pieces: `decide` gets
    /// the state and the panic, on the owner's thread. If nothing is said the owner goes on.
    ///
    /// ```
    /// use impasse::{AfterPanic, Owner, Panicked};
    /// let owner = Owner::builder("vm")
    ///     .on_panic(|_: &Vec<i32>, _: &Panicked| AfterPanic::Replace(Vec::new()))
    ///     .spawn(|| vec![1, 2, 3])?;
    /// let vm = owner.handle();
    /// vm.call("fails", |_| panic!("half way through")).unwrap_err();
    /// assert_eq!(vm.call("len", Vec::len).unwrap(), 0);
    /// # Ok::<(), impasse::SpawnError>(())
    /// ```
    pub fn on_panic<T, F: Fn(&T, &Panicked) -> AfterPanic<T> + Send + 'static>(
        self,
        decide: F,
    ) -> Builder<F> {
        let Self { name, policy, capacity, backtrace, on_unrun, watch, on_panic: _ } = self;
        Builder { name, policy, capacity, backtrace, on_unrun, watch, on_panic: decide }
    }

    /// Calls `hook` once when the owner has been in one job for longer than `threshold` while others are queued: what
    /// no detector can see (I/O, a foreign lock, an endless loop) shows as this. Off if nothing is said, and inside
    /// an exploration. Costs a look at the clock for each job. The hook runs on a thread of its own.
    ///
    /// A stall is found a quarter of the threshold late at most, and no oftener than every millisecond.
    pub fn stall_watch(mut self, threshold: Duration, hook: impl Fn(&Stall) + Send + Sync + 'static) -> Self {
        self.watch = Some(WatchFor { threshold, hook: Arc::new(hook) });
        self
    }

    /// Starts a thread, named after the owner, makes the state on it, and waits until that is done. The state never
    /// leaves the thread, so it need not be `Send`.
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
    pub fn spawn<T: 'static>(self, make: impl FnOnce() -> T + Send + 'static) -> Result<Owner<T>, SpawnError>
    where
        P: Resilience<T>,
    {
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
    ) -> Result<Owner<T>, SpawnError>
    where
        P: Resilience<T>,
    {
        let op = "spawn".into_op();
        let (task, duty, on_panic) = self.prepare();
        let shared = duty.0.clone();
        let (made, ready) = slot(Some(task.id()));
        let waited = Made { ready: &ready, owner: &shared.name };
        let owner = wait::door(Request::new(&waited, op), |inside| {
            let body = move |me: &Rc<Local>| {
                let state = match caught(op, duty.0.backtrace, make) {
                    Err(panicked) => return made.set(Err((*panicked).into())),
                    Ok(Err(error)) => {
                        let (owner, source) = (duty.0.name.clone(), error.into());
                        return made.set(Err(SpawnError::State { owner, source }));
                    }
                    Ok(Ok(state)) => state,
                };
                made.set(Ok(()));
                let on_panic = Box::new(move |state: &T, panicked: &_| on_panic.after(state, panicked));
                let ended = caught(op, duty.0.backtrace, || serve_all(me, &duty, state, on_panic));
                let shared = duty.0.clone();
                drop(duty);
                shared.mailbox.end(ended.map_err(|panicked| *panicked));
            };
            let thread = task
                .start(|| Some(format!("owner {}", shared.name)), None, body)
                .map_err(|source| SpawnError::Thread { owner: shared.name.clone(), source })?;
            match inside.until(&ready)? {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(error),
                Err(Abandoned) => unreachable!("the owner thread reports whatever comes of its state"),
            }
            stall::watch(&shared);
            Ok(Owner { handle: Handle::new(shared.clone()), thread: Unseen::new(Some(thread)) })
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
    /// # Ok::<(), impasse::PostError>(())
    /// ```
    pub fn attach<T: 'static>(self, state: T) -> (Handle<T>, OwnerLoop<T>)
    where
        P: Resilience<T>,
    {
        let (task, duty, on_panic) = self.prepare();
        stall::watch(&duty.0);
        let on_panic = Box::new(move |state: &T, panicked: &_| on_panic.after(state, panicked));
        (Handle::new(duty.0.clone()), OwnerLoop { duty, task, state, on_panic })
    }

    fn prepare<T>(self) -> (Task, Duty<T>, P) {
        let task = Task::new("owner", 0, self.name.clone());
        let shared = platform::arc(|| Shared {
            name: self.name,
            task: task.id(),
            policy: self.policy,
            mailbox: Mailbox::new(task.id(), self.capacity, self.watch.is_some()),
            backtrace: self.backtrace,
            on_unrun: self.on_unrun,
            watch: self.watch.map(Watch::new),
        });
        (task, Duty(shared), self.on_panic)
    }
}

/// What becomes of the jobs that an owner has accepted when it is shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shutdown {
    /// They run. So do the settlements of runs that were started, which are cancelled.
    #[default]
    Drain,
    /// The one that goes on runs to its end. All others are refused: their callers get
    /// [`CallError::Closed`](crate::CallError::Closed), posts are told to the hook of [`Builder::on_unrun`].
    Now,
}

/// A running owner. Dropped, it is shut down, and what it accepted runs: as [`Shutdown::Drain`].
///
/// Dropped by one of its own jobs it cannot wait for its end; it is closed, and ends by itself once it has run what
/// it accepted.
pub struct Owner<T: 'static> {
    handle: Handle<T>,
    thread: Unseen<Option<Thread>>,
}

impl Owner<()> {
    /// Begins an owner of this name.
    pub fn builder(name: &str) -> Builder {
        Builder {
            name: name.into(),
            policy: WaitOnOwner::default(),
            capacity: None,
            backtrace: Backtrace::default(),
            on_unrun: OnUnrun::default(),
            watch: None,
            on_panic: GoOn,
        }
    }
}

impl<T: 'static> Owner<T> {
    /// A handle to the owner.
    #[must_use]
    pub fn handle(&self) -> Handle<T> {
        self.handle.clone()
    }

    /// Closes the owner and waits until it has ended and dropped its state. Calls and posts from now on are refused,
    /// and runs of its sessions are cancelled; what was accepted runs or is refused, as `how` says.
    ///
    /// Asked for twice it waits for the same end; the stricter `how` counts. Dropping an owner drains it, and gives
    /// the error to nobody.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`]. The owner is closed in any case.
    ///
    /// # Blocking
    ///
    /// Until the owner has ended; the edge leads to the owner. From a job of this owner it does not wait.
    #[track_caller]
    pub fn shutdown(&self, how: Shutdown) -> Result<(), ShutdownError> {
        match how {
            Shutdown::Drain => self.handle.close(),
            Shutdown::Now => self.handle.close_now(),
        }
        self.wait_for_end("shutdown".into_op())
    }

    fn wait_for_end(&self, op: Op) -> Result<(), ShutdownError> {
        if self.handle.is_owner() {
            return Err(ShutdownError::OnOwner { owner: self.handle.name().into() });
        }
        let shared = &self.handle.0;
        let ended = wait::door(Request::new(&End(shared), op), |inside| {
            let place = match shared.mailbox.join_end() {
                Err(ended) => return Ok::<_, ShutdownError>(ended),
                Ok(place) => place,
            };
            let told = inside.until(&place.given);
            told.inspect_err(|_| shared.mailbox.leave(None, Some(&place)))?
                .unwrap_or_else(|Abandoned| unreachable!("the owner thread reports how it ended"));
            Ok(self.handle.how_it_ended().unwrap_or(Ok(())))
        })?;
        // Its last act was to report, so this is a matter of moments.
        let thread = self.thread.lock().take();
        thread.into_iter().for_each(Thread::join);
        Ok(ended?)
    }
}

impl<T: 'static> Drop for Owner<T> {
    #[track_caller]
    fn drop(&mut self) {
        let is_over = self.thread.lock().is_none();
        if !is_over {
            self.handle.close();
            // A drop cannot fail: where waiting would never end, the owner ends by itself.
            let _ = self.wait_for_end("drop".into_op());
        }
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
    fn providers(&self) -> Providers {
        Providers::one(self.ready.provider())
    }

    fn name(&self) -> String {
        format!("the state of owner `{}`", self.owner)
    }
}
