//! Waiting, with a lock given back, until somebody says that it is worth a look.

use std::fmt;
use std::time::Duration;

use super::line::Line;
use super::mutex::MutexGuard;
use crate::platform;
use crate::wait::{self, Arrival, IntoOp, Kind, Object, Op, Request, Resource, TaskId, WaitError};

/// A condition variable. Those who wait are woken in the order in which they came.
///
/// As with every condition variable, look again after each wait: what was notified may be over by the time that
/// the lock is taken back, and the explorer can make waits end for no reason.
///
/// ```
/// use impasse::sync::{Condvar, Mutex};
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ready = Arc::new((Mutex::new(false), Condvar::new()));
/// let other = ready.clone();
/// let setter = impasse::thread::spawn("setter", move || {
///     *other.0.lock().unwrap() = true;
///     other.1.notify_one();
/// })?;
/// let mut is_ready = ready.0.lock()?;
/// while !*is_ready {
///     is_ready = ready.1.wait(is_ready)?;
/// }
/// drop(is_ready);
/// setter.join()?;
/// # Ok(())
/// # }
/// ```
pub struct Condvar {
    made: Op,
    object: Object,
    waiting: platform::Mutex<Line<()>>,
}

impl Condvar {
    /// One that nobody waits for. Reports call it by this line.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        Self { made: "".into_op(), object: Object::new(), waiting: platform::Mutex::new(Line::default()) }
    }

    /// Gives the lock back, waits to be notified, and takes the lock again.
    ///
    /// # Errors
    ///
    /// [`WaitError::Deadlock`] if taking the lock again would never end, [`WaitError::Cancelled`] if the run on whose
    /// behalf the task waits is cancelled. The lock is not held then.
    ///
    /// # Blocking
    ///
    /// Until somebody notifies. Anybody could: the wait is shown, and counts as live. A notification that came
    /// before is lost; that is a hang and no cycle, which the explorer finds and the detector does not.
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> Result<MutexGuard<'a, T>, WaitError> {
        let op = "condvar.wait".into_op();
        if wait::wakes_spuriously() {
            return Ok(self.wait_for(guard, op, Some(None))?.0);
        }
        Ok(self.wait_for(guard, op, None)?.0)
    }

    /// As [`wait`](Self::wait), for at most this long; says whether the time was up.
    ///
    /// # Errors
    ///
    /// As `wait`.
    ///
    /// # Blocking
    ///
    /// As `wait`, and no verdict rests on it. Inside an exploration the clock is virtual: whether the time is up
    /// before somebody notifies is a choice, see [`Timeouts`](crate::explore::Timeouts).
    #[track_caller]
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> Result<(MutexGuard<'a, T>, bool), WaitError> {
        self.wait_for(guard, "condvar.wait_timeout".into_op(), Some(Some(timeout)))
    }

    /// Waits without a limit, for a time, or until the wait ends for no reason; says whether it ended by itself.
    fn wait_for<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        op: Op,
        limit: Option<Option<Duration>>,
    ) -> Result<(MutexGuard<'a, T>, bool), WaitError> {
        let mutex = guard.mutex();
        let arrival = Arrival::As(self.object.access(Kind::Await));
        let request = Request { arrival, timed: limit.is_some(), ..Request::new(self, op) };
        let notified = wait::door(request, |inside| {
            let place = self.waiting.lock().join(None);
            drop(guard);
            let notified = match limit {
                None => inside.until(&place.given).map(Some),
                Some(timeout) => inside.until_timeout(&place.given, self.object, timeout),
            };
            // Out of the line, or a notification would be lost on somebody who does not wait. Whoever is not in it
            // any more is being notified.
            let leave = || {
                let left = self.waiting.lock().leave(&place);
                left.is_none()
            };
            let is_notified = matches!(notified, Ok(Some(_))) || leave();
            match notified {
                Ok(_) => Ok(is_notified),
                Err(error) => {
                    if is_notified {
                        self.wake_one();
                    }
                    Err(error)
                }
            }
        })?;
        Ok((mutex.lock()?, !notified))
    }

    /// Wakes who waits longest, if anybody does.
    #[track_caller]
    pub fn notify_one(&self) {
        self.object.step("notify_one".into_op(), Kind::Notify);
        self.wake_one();
    }

    fn wake_one(&self) {
        let first = self.waiting.lock().first();
        first.into_iter().for_each(|first| first.set(()));
    }

    /// Wakes all who wait.
    #[track_caller]
    pub fn notify_all(&self) {
        self.object.step("notify_all".into_op(), Kind::Notify);
        let all = std::mem::take(&mut *self.waiting.lock());
        all.for_each(|waiting| waiting.set(()));
    }
}

impl Resource for Condvar {
    fn provider(&self) -> Option<TaskId> {
        None
    }

    fn name(&self) -> String {
        format!("the condition made at {}", self.made.site())
    }
}

impl Default for Condvar {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").field("made", &self.made.site()).finish_non_exhaustive()
    }
}
