//! A value that one task promises and another waits for.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::ends::{End, Held, is_bound, sealed};
use super::future::Arriving;
use super::made::Made;
use super::slot::{Reader, Setter, slot};
use crate::platform::Unseen;
use crate::wait::{self, Cancelled, Deadlock, IntoOp, Providers, Request, Resource, TaskId, WaitError};

/// A promise, and the right to resolve it.
///
/// ```
/// let (answer, resolver) = impasse::sync::promise();
/// impasse::thread::spawn(move || resolver.resolve(42));
/// assert_eq!(answer.wait()?, 42);
/// # Ok::<(), impasse::sync::PromiseError>(())
/// ```
///
/// A [`Resolver`] may go from task to task, so the detector does not know whom the promise is for: the wait counts as
/// live. [Hold](End::hold) it, or bind it from birth ([`thread::spawn_with`](crate::thread::spawn_with),
/// [`Handle::post_with`](crate::Handle::post_with)), and it does.
#[track_caller]
pub fn promise<V: Send>() -> (Promise<V>, Resolver<V>) {
    promise_named("")
}

/// A promise that reports call `label`.
#[track_caller]
pub fn promise_named<V: Send>(label: &'static str) -> (Promise<V>, Resolver<V>) {
    let (setter, value) = slot(None);
    let promise = Promise { value: Some(value), made: Made::at(label.into_op()) };
    (promise, Resolver(Unseen::new(Some(setter))))
}

/// What a task waits for that another has promised. See [`promise`].
#[must_use = "a promise gives its value to whoever waits for it"]
pub struct Promise<V> {
    value: Option<Reader<V>>,
    made: Made,
}

/// The right to resolve a [`Promise`], once. Dropped without that, the promise is abandoned.
pub struct Resolver<V>(Unseen<Option<Setter<V>>>);

/// Why a promise has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PromiseError {
    /// Whoever was to resolve it has dropped the resolver, or ended.
    #[error("{0} was abandoned: its resolver was dropped, or the task that held it has ended")]
    Abandoned(String),
    /// The task that holds the resolver waits, directly or through others, for the calling task.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
    /// The run on whose behalf the task waits was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<WaitError> for PromiseError {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Deadlock(deadlock) => deadlock.into(),
            WaitError::Cancelled(cancelled) => cancelled.into(),
        }
    }
}

impl<V: Send> Promise<V> {
    /// Waits for the value.
    ///
    /// # Errors
    ///
    /// See [`PromiseError`].
    ///
    /// # Blocking
    ///
    /// Until it is resolved. The edge leads to the task that holds the resolver; there is none while nobody in
    /// particular does.
    #[track_caller]
    pub fn wait(mut self) -> Result<V, PromiseError> {
        let request = Request::new(&self, "promise.wait".into_op());
        let settled = wait::door(request, |inside| inside.until(self.reader()))?;
        self.value = None;
        settled.map_err(|_| self.abandoned())
    }

    /// Waits for the value for at most this long; gives the promise back if it is not there by then.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), but never a deadlock: the wait ends by itself. The promise is given back with it unless
    /// it was abandoned.
    #[track_caller]
    pub fn wait_timeout(mut self, timeout: Duration) -> Result<Result<V, Self>, PromiseError> {
        let op = "promise.wait_timeout".into_op();
        let request = Request { timed: true, ..Request::new(&self, op) };
        let settled = wait::door(request, |inside| {
            let line = wait::Awaited::object(self.reader());
            inside.until_timeout(self.reader(), line, Some(timeout))
        })?;
        match settled {
            None => Ok(Err(self)),
            Some(settled) => {
                self.value = None;
                settled.map(Ok).map_err(|_| self.abandoned())
            }
        }
    }

    /// Whether it is resolved or abandoned.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.reader().is_settled()
    }

    /// Calls `then` with the value (or `None` if it is abandoned): by whoever resolves it, or here and now.
    pub fn then(mut self, then: impl FnOnce(Option<V>) + Send + 'static) {
        if let Some(value) = self.value.take() {
            value.then(|settled| then(settled.ok()));
        }
    }

    fn reader(&self) -> &Reader<V> {
        self.value.as_ref().expect("a promise that was waited for is gone")
    }

    fn abandoned(&self) -> PromiseError {
        PromiseError::Abandoned(self.made.name("promise"))
    }
}

impl<V: Send> Resource for Promise<V> {
    fn providers(&self) -> Providers {
        Providers::one(self.value.as_ref().and_then(Reader::provider))
    }

    fn is_about(&self, what: usize) -> bool {
        self.value.as_ref().is_some_and(|value| value.address() == what)
    }

    fn name(&self) -> String {
        self.made.name("promise")
    }
}

/// The value as a future. Waiting for it is no wait of the calling thread, so the detector does not see it.
#[must_use = "a future gives its value to whoever awaits it"]
pub struct Promised<V> {
    arriving: Arriving<V>,
    name: String,
}

impl<V: Send + 'static> IntoFuture for Promise<V> {
    type Output = Result<V, PromiseError>;
    type IntoFuture = Promised<V>;

    fn into_future(mut self) -> Promised<V> {
        let value = self.value.take().expect("a promise that was waited for is gone");
        Promised { arriving: Arriving::of(value), name: self.made.name("promise") }
    }
}

impl<V: Send + 'static> Future for Promised<V> {
    type Output = Result<V, PromiseError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let settled = self.arriving.poll(context);
        settled.map(|settled| settled.map_err(|_| PromiseError::Abandoned(self.name.clone())))
    }
}

impl<V: Send> Resolver<V> {
    /// Gives the promise its value.
    pub fn resolve(self, value: V) {
        self.settle(value);
    }

    fn settle(&self, value: V) {
        let setter = self.0.lock().take();
        if let Some(setter) = setter {
            setter.set(value);
        }
    }
}

impl<V: Send + 'static> Held<Resolver<V>> {
    /// Gives the promise its value.
    pub fn resolve(self, value: V) {
        self.settle(value);
    }
}

impl<V> sealed::Sealed for Resolver<V> {}

#[allow(private_interfaces, reason = "nobody else implements it")]
impl<V: Send + 'static> End for Resolver<V> {
    fn bind(&self, task: TaskId) {
        let promise = self.0.lock().as_ref().map(|setter| {
            setter.is_provided_by(task);
            setter.address()
        });
        promise.into_iter().for_each(|promise| is_bound(task, promise));
    }

    fn let_go(&self) {
        let setter = self.0.lock().take();
        drop(setter);
    }
}

impl<V> fmt::Debug for Promise<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").field("name", &self.made.name("promise")).finish_non_exhaustive()
    }
}

impl<V> fmt::Debug for Promised<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promised").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<V> fmt::Debug for Resolver<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}
