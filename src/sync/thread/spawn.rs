//! Starting a thread, and its end.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

use super::park::Thread;
use crate::sync::ends::{End, Held};
use crate::sync::slot::{Abandoned, Reader, slot};
use crate::wait::{self, IntoOp, Lineage, Local, Op, Providers, Request, Resource, Task, TaskId, WaitError};

/// What a thread ended with: its value, or what it panicked with.
type Ended<R> = std::thread::Result<R>;

/// Starts a thread that acts on behalf of whatever the calling task acts for.
///
/// # Panics
///
/// The operating system has no thread to give. [`Builder::spawn`] has an error for that.
///
/// ```
/// let answer = impasse::thread::spawn(|| 42);
/// assert_eq!(answer.join().unwrap(), 42);
/// ```
#[track_caller]
pub fn spawn<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    Builder::new().spawn(body).expect("failed to spawn thread")
}

/// Starts a thread of this name.
///
/// # Errors
///
/// The operating system has no thread to give.
pub fn spawn_named<R: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> R + Send + 'static,
) -> io::Result<JoinHandle<R>> {
    Builder { name: Some(name.into()), ..Builder::new() }.spawn(body)
}

/// Starts a thread that holds `end` from birth: there is no moment at which it is nobody's.
///
/// # Panics
///
/// As [`spawn`].
///
/// ```
/// let (answer, resolver) = impasse::sync::promise();
/// impasse::thread::spawn_with(resolver, |held| held.resolve(42));
/// assert_eq!(answer.wait()?, 42);
/// # Ok::<(), impasse::sync::PromiseError>(())
/// ```
#[track_caller]
pub fn spawn_with<E: End + Send, R: Send + 'static>(
    end: E,
    body: impl FnOnce(Held<E>) -> R + Send + 'static,
) -> JoinHandle<R> {
    Builder::new().spawn_with(end, body).expect("failed to spawn thread")
}

/// How a thread is to be started. See [`spawn`].
#[derive(Clone, Debug, Default)]
#[must_use = "it starts nothing by itself"]
pub struct Builder {
    name: Option<Arc<str>>,
    stack_size: Option<usize>,
}

impl Builder {
    /// As [`spawn`] starts them.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the thread is called, by the operating system and in reports.
    pub fn name(self, name: String) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// The size of its stack in bytes. Inside an exploration all stacks are of one size.
    pub fn stack_size(self, size: usize) -> Self {
        Self { stack_size: Some(size), ..self }
    }

    /// Starts a thread that acts on behalf of whatever the calling task acts for.
    ///
    /// # Errors
    ///
    /// The operating system has no thread to give.
    #[track_caller]
    pub fn spawn<R: Send + 'static>(
        self,
        body: impl FnOnce() -> R + Send + 'static,
    ) -> io::Result<JoinHandle<R>> {
        self.start(|_| (), |_, ()| body())
    }

    /// The same, and the thread holds `end` from birth.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    #[track_caller]
    pub fn spawn_with<E: End + Send, R: Send + 'static>(
        self,
        end: E,
        body: impl FnOnce(Held<E>) -> R + Send + 'static,
    ) -> io::Result<JoinHandle<R>> {
        let bound = move |task| {
            end.bind(task);
            end
        };
        self.start(bound, |me, end| body(Held::by(end, me)))
    }

    /// Starts a thread for `body`, with what was made for its task.
    #[track_caller]
    pub(super) fn start<M: Send + 'static, R: Send + 'static>(
        self,
        make: impl FnOnce(TaskId) -> M,
        body: impl FnOnce(&Local, M) -> R + Send + 'static,
    ) -> io::Result<JoinHandle<R>> {
        let task = match &self.name {
            Some(name) => Task::new("thread", 0, name.clone()),
            // By the line that starts it.
            None => Task::new("the thread started at", 0, "".into_op().site().to_string().into()),
        };
        let thread = Thread::of(task.id(), self.name.clone());
        let (setter, result) = slot(Some(task.id()));
        let lineage = Lineage::current();
        let made = make(task.id());
        let body = move |me: &Rc<Local>| {
            me.behalf.set(lineage);
            setter.set(catch_unwind(AssertUnwindSafe(|| body(me, made))));
        };
        let name = self.name;
        task.start(|| name.map(|name| name.as_ref().to_owned()), self.stack_size, body)?;
        Ok(JoinHandle { thread, result })
    }
}

/// The right to the result of a thread.
pub struct JoinHandle<R> {
    thread: Thread,
    result: Reader<Ended<R>>,
}

impl<R: Send> JoinHandle<R> {
    /// Waits for the thread's closure to end and returns what it returned.
    ///
    /// # Errors
    ///
    /// What the closure panicked with; or a [`WaitError`], if the wait would complete a deadlock or was cancelled: see
    /// [`checked_join`](Self::checked_join), which tells the two apart.
    ///
    /// # Blocking
    ///
    /// Until the closure has ended; the edge leads to the thread.
    #[track_caller]
    pub fn join(self) -> Ended<R> {
        self.ended("join".into_op()).unwrap_or_else(|error| Err(Box::new(error)))
    }

    /// Waits for the thread's closure to end and returns what it returned.
    ///
    /// # Errors
    ///
    /// [`WaitError::Deadlock`] if the thread waits, directly or through others, for the calling task;
    /// [`WaitError::Cancelled`] if the run on whose behalf the caller waits is cancelled.
    ///
    /// # Panics
    ///
    /// With the thread's own panic, if it panicked.
    ///
    /// # Blocking
    ///
    /// As [`join`](Self::join).
    #[track_caller]
    pub fn checked_join(self) -> Result<R, WaitError> {
        self.ended("join".into_op()).map(|ended| ended.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Whether the closure has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.result.is_settled()
    }

    /// The thread.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    fn ended(&self, op: Op) -> Result<Ended<R>, WaitError> {
        let result = wait::door(Request::new(self, op), |inside| inside.until(&self.result))?;
        Ok(result.unwrap_or_else(|Abandoned| {
            unreachable!("the closure's result is set whether it returns or panics")
        }))
    }
}

/// Waits for all these threads to end, and returns what they returned, in their order.
///
/// It waits for all of them at once: that one of them can never end is known while others still run, and not only when
/// their turn comes.
///
/// # Errors
///
/// As [`JoinHandle::checked_join`].
///
/// # Panics
///
/// With the first panic among theirs, in their order.
///
/// # Blocking
///
/// Until all have ended; edges lead to all that have not.
#[track_caller]
pub fn join_all<R: Send>(handles: impl IntoIterator<Item = JoinHandle<R>>) -> Result<Vec<R>, WaitError> {
    let op = "join_all".into_op();
    let handles: Vec<_> = handles.into_iter().collect();
    let all = AllOf(&handles);
    let ended = wait::door(Request::new(&all, op), |inside| {
        handles.iter().map(|handle| inside.until(&handle.result)).collect::<Result<Vec<_>, WaitError>>()
    })?;
    let value = |ended: Result<Ended<R>, Abandoned>| match ended {
        Ok(ended) => ended.unwrap_or_else(|panic| resume_unwind(panic)),
        Err(Abandoned) => unreachable!("the closure's result is set whether it returns or panics"),
    };
    Ok(ended.into_iter().map(value).collect())
}

struct AllOf<'a, R>(&'a [JoinHandle<R>]);

impl<R: Send> Resource for AllOf<'_, R> {
    fn providers(&self) -> Providers {
        Providers::All(self.0.iter().filter_map(|handle| handle.result.provider()).collect())
    }

    fn name(&self) -> String {
        let running = self.0.iter().filter(|handle| handle.result.provider().is_some());
        let names: Vec<_> = running.map(|handle| handle.thread.to_string()).collect();
        format!("{} to end", names.join(" and "))
    }
}

impl<R: Send> Resource for JoinHandle<R> {
    fn providers(&self) -> Providers {
        Providers::one(self.result.provider())
    }

    fn name(&self) -> String {
        format!("{} to end", self.thread)
    }
}

impl<R> fmt::Debug for JoinHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("thread", &self.thread).finish_non_exhaustive()
    }
}
