//! Threads that borrow, and end before what they borrow does.

#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::park::Thread;
use crate::platform::Unseen;
use crate::sync::slot::{Reader, slot};
use crate::wait::{
    self, Awaited, IntoOp, Lineage, Local, Op, Providers, Request, Resource, Task, Terms, WaitError,
};

/// Where threads are started that may borrow whatever lives as long as `'env`. See [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    children: Unseen<Vec<Child>>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// What a thread does.
type Body<'scope> = Box<dyn FnOnce(&Rc<Local>) + Send + 'scope>;

/// A thread of a scope.
struct Child {
    thread: Thread,
    /// Everything that it borrowed is given back.
    ended: Reader<()>,
    /// It panicked, and nobody has been told by joining it.
    panicked: Arc<AtomicBool>,
}

/// Calls `body` with a scope in which threads may be started that borrow, and waits for all of them to end.
///
/// ```
/// let mut numbers = vec![1, 2, 3];
/// impasse::thread::scope(|scope| {
///     scope.spawn(|| numbers.push(4));
/// });
/// assert_eq!(numbers.len(), 4);
/// ```
///
/// # Panics
///
/// If `body` panics, and if a thread panicked that nobody has joined.
///
/// # Blocking
///
/// Until all threads of the scope have ended; edges lead to all that have not. It cannot return before that, so if it
/// would complete a deadlock, another wait of that one is ended.
#[track_caller]
pub fn scope<'env, R>(body: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R) -> R {
    let op = "scope".into_op();
    let scope = Scope { children: Unseen::new(Vec::new()), scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    let panicked = scope.end(op);
    match result {
        Err(panic) => resume_unwind(panic),
        Ok(_) if panicked => panic!("a scoped thread panicked"),
        Ok(value) => value,
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a thread that acts on behalf of whatever the calling task acts for.
    ///
    /// # Panics
    ///
    /// The operating system has no thread to give.
    #[track_caller]
    pub fn spawn<R: Send + 'scope>(
        &'scope self,
        body: impl FnOnce() -> R + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, R> {
        let name = "".into_op().site().to_string();
        let task = Task::new("the thread started at", 0, name.into());
        let thread = Thread::of(task.id(), None);
        let (setter, result) = slot(Some(task.id()));
        let (through, ended) = slot(Some(task.id()));
        let panicked = Arc::new(AtomicBool::new(false));
        self.children.lock().push(Child { thread: thread.clone(), ended, panicked: panicked.clone() });
        let (lineage, has_panicked) = (Lineage::current(), panicked.clone());
        let body: Body<'scope> = Box::new(move |me| {
            me.behalf.set(lineage);
            let result = catch_unwind(AssertUnwindSafe(body));
            has_panicked.store(result.is_err(), Ordering::Relaxed);
            setter.set(result);
            through.set(());
        });
        // SAFETY: only the lifetime changes. The closure and all that it borrows are gone when `through` is set or
        // dropped, and `scope` returns, or unwinds, no sooner than that.
        let body: Body<'static> = unsafe { std::mem::transmute(body) };
        task.start(|| None, None, body).expect("failed to spawn thread");
        ScopedJoinHandle { thread, result, panicked, scope: PhantomData }
    }

    /// Waits for all threads, those that others have started meanwhile included. Says whether one has panicked.
    fn end(&self, op: Op) -> bool {
        let mut panicked = false;
        loop {
            let children = std::mem::take(&mut *self.children.lock());
            if children.is_empty() {
                return panicked;
            }
            let me = wait::current_id();
            // Inside an exploration that comes to its end no wait begins; it needs none if all have ended.
            let running: Vec<_> = children.iter().filter(|child| child.ended.poll(me).is_none()).collect();
            if !running.is_empty() {
                let resource = AllOf(&running);
                let request = Request { terms: Terms::Infallible, ..Request::new(&resource, op) };
                let ended: Result<(), WaitError> = wait::door(request, |inside| {
                    running.iter().try_for_each(|child| inside.until(&child.ended).map(drop))
                });
                if ended.is_err() {
                    wait::never();
                }
            }
            panicked |= children.iter().any(|child| child.panicked.load(Ordering::Relaxed));
        }
    }
}

struct AllOf<'a>(&'a [&'a Child]);

impl Resource for AllOf<'_> {
    fn providers(&self) -> Providers {
        Providers::All(self.0.iter().filter_map(|child| child.ended.provider()).collect())
    }

    fn name(&self) -> String {
        let running = self.0.iter().filter(|child| child.ended.provider().is_some());
        let names: Vec<_> = running.map(|child| child.thread.to_string()).collect();
        format!("{} to end", names.join(" and "))
    }
}

/// The right to the result of a thread of a [`Scope`].
pub struct ScopedJoinHandle<'scope, R> {
    thread: Thread,
    result: Reader<std::thread::Result<R>>,
    panicked: Arc<AtomicBool>,
    scope: PhantomData<&'scope ()>,
}

impl<R: Send> ScopedJoinHandle<'_, R> {
    /// Waits for the thread's closure to end and returns what it returned.
    ///
    /// # Errors
    ///
    /// What the closure panicked with; or a [`WaitError`], if the wait would complete a deadlock or was cancelled.
    ///
    /// # Blocking
    ///
    /// Until the closure has ended; the edge leads to the thread.
    #[track_caller]
    pub fn join(self) -> std::thread::Result<R> {
        let request = Request::new(&self, "join".into_op());
        let ended = wait::door(request, |inside| inside.until(&self.result));
        match ended {
            Ok(ended) => {
                self.panicked.store(false, Ordering::Relaxed);
                ended.unwrap_or_else(|_| unreachable!("the result is set whether it returns or panics"))
            }
            Err::<_, WaitError>(error) => Err(Box::new(error)),
        }
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
}

impl<R: Send> Resource for ScopedJoinHandle<'_, R> {
    fn providers(&self) -> Providers {
        Providers::one(self.result.provider())
    }

    fn name(&self) -> String {
        format!("{} to end", self.thread)
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("threads", &self.children.lock().len()).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for ScopedJoinHandle<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").field("thread", &self.thread).finish_non_exhaustive()
    }
}
