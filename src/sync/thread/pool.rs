//! A fixed number of threads that share a queue of work.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::spawn::{Builder, JoinHandle, join_all};
use crate::sync::queue::Queue;
use crate::sync::slot::{Reader, slot};
use crate::wait::{self, IntoOp, Lineage, Providers, Request, Resource, TaskId, WaitError};

/// A piece of work as the pool keeps it; none is the end.
type Piece = Option<Box<dyn FnOnce(TaskId) + Send>>;

/// Worker threads that share a queue.
///
/// Whoever waits for work that no worker has begun waits for any of them: when all of them wait, directly or through
/// others, for work that is queued here, that is a deadlock and reported as one.
///
/// ```
/// let pool = impasse::thread::Pool::new("crunch", 2)?;
/// let work = pool.spawn(|| 6 * 7);
/// assert_eq!(work.wait()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropped, it lets its workers end when the queue is empty.
pub struct Pool {
    name: Arc<str>,
    queue: Arc<Queue<Piece>>,
    workers: Arc<[TaskId]>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of so many threads, at least one.
    ///
    /// # Errors
    ///
    /// The operating system has no thread to give.
    #[track_caller]
    pub fn new(name: &str, threads: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue::<Piece>::new());
        let start = |number: usize| {
            let queue = queue.clone();
            Builder::new().name(format!("{name} {number}")).start(
                |_| (),
                move |me, ()| {
                    // Refused only inside an exploration that comes to its end.
                    while let Ok(Some(work)) = queue.pop() {
                        work(me.id);
                    }
                },
            )
        };
        let threads: Vec<_> = (1..=threads.max(1)).map(start).collect::<io::Result<_>>()?;
        let workers = threads.iter().map(|thread| thread.thread().id()).collect();
        Ok(Self { name: name.into(), queue, workers, threads })
    }

    /// Queues a piece of work, which acts on behalf of whatever the calling task acts for.
    #[track_caller]
    pub fn spawn<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Work<R> {
        let (setter, result) = slot(None);
        let lineage = Lineage::current();
        self.queue.push(Some(Box::new(move |worker| {
            setter.is_provided_by(worker);
            setter.set(lineage.enter(|| catch_unwind(AssertUnwindSafe(work))));
        })));
        Work { pool: self.name.clone(), workers: self.workers.clone(), result }
    }

    /// Waits until all that has been queued is done and the workers have ended.
    ///
    /// # Errors
    ///
    /// As [`join_all`].
    ///
    /// # Blocking
    ///
    /// Until the workers have ended; edges lead to all that have not.
    #[track_caller]
    pub fn join(mut self) -> Result<(), WaitError> {
        let threads = std::mem::take(&mut self.threads);
        drop(self);
        join_all(threads).map(drop)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.workers.iter().for_each(|_| self.queue.push(None));
    }
}

/// The right to the result of a piece of work.
pub struct Work<R> {
    pool: Arc<str>,
    workers: Arc<[TaskId]>,
    result: Reader<std::thread::Result<R>>,
}

impl<R: Send> Work<R> {
    /// Waits for the work to be done and returns what it returned.
    ///
    /// # Errors
    ///
    /// [`WaitError::Deadlock`] if whoever does it waits, directly or through others, for the calling task, or, while
    /// nobody has begun it, if all workers do; [`WaitError::Cancelled`] if the run on whose behalf the caller waits is
    /// cancelled.
    ///
    /// # Panics
    ///
    /// With the panic of the work, if it panicked.
    ///
    /// # Blocking
    ///
    /// Until it is done. The edge leads to the worker that does it, or to all workers until one has begun.
    #[track_caller]
    pub fn wait(self) -> Result<R, WaitError> {
        let result = wait::door(Request::new(&self, "wait".into_op()), |inside| inside.until(&self.result))?;
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => unreachable!("what is queued is done, and its result set whether it returns or panics"),
        }
    }

    /// Whether it is done.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.result.is_settled()
    }
}

impl<R: Send> Resource for Work<R> {
    fn providers(&self) -> Providers {
        match self.result.provider() {
            Some(worker) => Providers::One(worker),
            None if self.result.is_done() => Providers::Open,
            None => Providers::Any(self.workers.to_vec()),
        }
    }

    fn name(&self) -> String {
        format!("work queued at pool `{}`", self.pool)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).field("threads", &self.workers.len()).finish()
    }
}

impl<R> fmt::Debug for Work<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("pool", &self.pool).finish_non_exhaustive()
    }
}
