//! Threads that hand their lineage on, and whose joins the detector sees.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

use super::slot::{Abandoned, Reader, slot};
use crate::wait::{self, IntoOp, Lineage, Local, Request, Resource, Task, TaskId, WaitError};

/// Starts a thread of this name that acts on behalf of whatever the calling task acts for.
///
/// # Errors
///
/// The operating system has no thread to give.
///
/// ```
/// let answer = impasse::thread::spawn("thinker", || 42)?;
/// assert_eq!(answer.join().unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn spawn<R: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> R + Send + 'static,
) -> io::Result<JoinHandle<R>> {
    let name: Arc<str> = name.into();
    let task = Task::new("thread", 0, name.clone());
    let (setter, result) = slot(Some(task.id()));
    let lineage = Lineage::current();
    let body = move |me: &Rc<Local>| {
        me.behalf.set(lineage);
        setter.set(catch_unwind(AssertUnwindSafe(body)));
    };
    task.start(|| name.as_ref().to_owned(), body)?;
    Ok(JoinHandle { name, result })
}

/// Lets other threads go first. Inside an exploration it is a place where another task may go on, as every step
/// is.
pub fn yield_now() {
    if !wait::yield_now() {
        std::thread::yield_now();
    }
}

/// The right to the result of a thread.
pub struct JoinHandle<R> {
    name: Arc<str>,
    result: Reader<std::thread::Result<R>>,
}

impl<R: Send> JoinHandle<R> {
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
    /// Until the closure has ended; the edge leads to the thread.
    #[track_caller]
    pub fn join(self) -> Result<R, WaitError> {
        let result = wait::door(Request::new(&self, "join".into_op()), |inside| inside.until(&self.result))?;
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(Abandoned) => unreachable!("the closure's result is set whether it returns or panics"),
        }
    }

    /// Whether the closure has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.result.is_settled()
    }
}

impl<R: Send> Resource for JoinHandle<R> {
    fn provider(&self) -> Option<TaskId> {
        self.result.provider()
    }

    fn name(&self) -> String {
        format!("thread `{}` to end", self.name)
    }
}

impl<R> fmt::Debug for JoinHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("name", &self.name).finish_non_exhaustive()
    }
}
