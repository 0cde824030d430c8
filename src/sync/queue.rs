//! A queue of many producers and many consumers.

use std::collections::VecDeque;
use std::fmt;

use super::line::Line;
use crate::platform;
use crate::wait::{self, Arrival, IntoOp, Kind, Object, Op, Providers, Request, Resource, Stamp, WaitError};

/// An unbounded first-in-first-out queue that any task may push to and pop from. Those who wait for an item
/// are served in the order in which they came.
///
/// ```
/// # fn main() -> Result<(), impasse::WaitError> {
/// let queue = impasse::sync::Queue::new();
/// queue.push(42);
/// assert_eq!(queue.pop()?, 42);
/// assert_eq!(queue.try_pop(), None);
/// # Ok(())
/// # }
/// ```
pub struct Queue<T> {
    made: Op,
    object: Object,
    inner: platform::Mutex<Inner<T>>,
}

/// One of the two is empty.
struct Inner<T> {
    items: VecDeque<(T, Stamp)>,
    waiting: Line<T>,
}

impl<T: Send> Queue<T> {
    /// An empty queue. Reports call it by this line.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner { items: VecDeque::new(), waiting: Line::default() };
        Self { made: "".into_op(), object: Object::new(), inner: platform::Mutex::new(inner) }
    }

    /// Appends an item, or gives it to whoever waits longest. Never waits.
    #[track_caller]
    pub fn push(&self, item: T) {
        self.object.step("push".into_op(), Kind::Push);
        let mut inner = self.inner.lock();
        match inner.waiting.first() {
            Some(first) => {
                drop(inner);
                first.set(item);
            }
            None => inner.items.push_back((item, Stamp::here())),
        }
    }

    /// Takes the first item, waiting for one if there is none.
    ///
    /// # Errors
    ///
    /// [`WaitError::Cancelled`] if the run on whose behalf the task waits is cancelled. Never a deadlock today: who
    /// will push is not known, so no cycle is ever seen through this wait.
    ///
    /// # Blocking
    ///
    /// Until there is an item. Anybody could push one: the wait is shown, and counts as live.
    #[track_caller]
    pub fn pop(&self) -> Result<T, WaitError> {
        let arrival = Arrival::As(self.object.access(Kind::Pop));
        let request = Request { arrival, ..Request::new(self, "pop".into_op()) };
        let item = wait::door(request, |inside| {
            let mut inner = self.inner.lock();
            if let Some((item, pushed)) = inner.items.pop_front() {
                pushed.witness();
                return Ok(Ok(item));
            }
            let place = inner.waiting.join(None);
            drop(inner);
            inside.until(&place.given).or_else(|error| {
                // An item that is on its way is not lost.
                let left = self.inner.lock().waiting.leave(&place);
                if left.is_some() { Err(error) } else { wait::surely(&place.given) }
            })
        })?;
        Ok(item.unwrap_or_else(|_| unreachable!("the queue outlives those who wait for its items")))
    }

    /// Takes the first item if there is one.
    #[track_caller]
    pub fn try_pop(&self) -> Option<T> {
        self.object.step("try_pop".into_op(), Kind::TryPop);
        let (item, pushed) = self.inner.lock().items.pop_front()?;
        pushed.witness();
        Some(item)
    }
}

impl<T: Send> Resource for Queue<T> {
    fn providers(&self) -> Providers {
        Providers::Open
    }

    fn name(&self) -> String {
        format!("an item of the queue made at {}", self.made.site())
    }
}

impl<T: Send> Default for Queue<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("made", &self.made.site()).finish_non_exhaustive()
    }
}
