//! Waiting, with a lock given back, until somebody says that it is worth a look.

#![allow(unsafe_code)]

use std::fmt;
use std::time::{Duration, Instant};

use lock_api::RawMutex as _;

use super::line::Line;
use super::mutex::{MutexGuard, RawMutex};
use crate::platform;
use crate::wait::{self, Arrival, IntoOp, Kind, Object, Op, Providers, Request, Resource, Terms, WaitError};

/// A condition variable. Those who wait are woken in the order in which they came.
///
/// As `parking_lot`'s. As with every condition variable, look again after each wait: what was notified may be over by
/// the time that the lock is taken back, and the explorer can make waits end for no reason.
///
/// ```
/// use impasse::sync::{Condvar, Mutex};
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ready = Arc::new((Mutex::new(false), Condvar::new()));
/// let other = ready.clone();
/// let setter = impasse::thread::spawn_named("setter", move || {
///     *other.0.lock() = true;
///     other.1.notify_one();
/// })?;
/// let mut is_ready = ready.0.lock();
/// while !*is_ready {
///     ready.1.wait(&mut is_ready);
/// }
/// drop(is_ready);
/// setter.join().unwrap();
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

    /// Gives the lock back, waits to be notified, and takes the lock again. However it ends, the lock is held.
    ///
    /// # Panics
    ///
    /// If the run on whose behalf the task waits is cancelled, it unwinds without a word.
    ///
    /// # Blocking
    ///
    /// Until somebody notifies. Anybody could: the wait is shown, and counts as live. A notification that came
    /// before is lost; that is a hang and no cycle, which the explorer finds and the detector does not. Then for the
    /// lock: if that would complete a deadlock, another wait of it is ended.
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        let op = "condvar.wait".into_op();
        let limit = wait::wakes_spuriously().then_some(None);
        wait::insist(|terms| self.with_lock_back(guard, op, limit, terms));
    }

    /// As [`wait`](Self::wait), as long as `condition` holds.
    ///
    /// # Panics
    ///
    /// As `wait`.
    #[track_caller]
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        while condition(guard) {
            self.wait(guard);
        }
    }

    /// As [`wait`](Self::wait), for at most this long.
    ///
    /// # Panics
    ///
    /// As `wait`.
    ///
    /// # Blocking
    ///
    /// As `wait`, and no verdict rests on it. Inside an exploration the clock is virtual: whether the time is up
    /// before somebody notifies is a choice, see [`Timeouts`](crate::explore::Timeouts).
    #[track_caller]
    pub fn wait_for<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> WaitTimeoutResult {
        let op = "condvar.wait_for".into_op();
        let notified = wait::insist(|terms| self.with_lock_back(guard, op, Some(Some(timeout)), terms));
        WaitTimeoutResult(!notified)
    }

    /// As [`wait_for`](Self::wait_for), until this moment.
    ///
    /// # Panics
    ///
    /// As `wait`.
    #[track_caller]
    pub fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        self.wait_for(guard, deadline.saturating_duration_since(wait::now()))
    }

    /// As [`wait`](Self::wait), with an error to return, and then without the lock.
    ///
    /// # Errors
    ///
    /// [`WaitError::Deadlock`] if taking the lock again would never end, [`WaitError::Cancelled`] if the run on whose
    /// behalf the task waits is cancelled. The lock is not held then.
    #[track_caller]
    pub fn checked_wait<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> Result<MutexGuard<'a, T>, WaitError> {
        let limit = wait::wakes_spuriously().then_some(None);
        Ok(self.without_lock(guard, "condvar.wait".into_op(), limit)?.0)
    }

    /// As [`wait_for`](Self::wait_for), with an error to return; says whether the time was up.
    ///
    /// # Errors
    ///
    /// As [`checked_wait`](Self::checked_wait).
    #[track_caller]
    pub fn checked_wait_for<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> Result<(MutexGuard<'a, T>, WaitTimeoutResult), WaitError> {
        let op = "condvar.wait_for".into_op();
        let (guard, notified) = self.without_lock(guard, op, Some(Some(timeout)))?;
        Ok((guard, WaitTimeoutResult(!notified)))
    }

    /// Waits and takes the lock again, if it was notified or not.
    fn with_lock_back<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        op: Op,
        limit: Option<Option<Duration>>,
        terms: Terms,
    ) -> Result<bool, WaitError> {
        let raw = lock_of(guard);
        // SAFETY: the guard holds the lock, and is borrowed until the lock is taken again.
        let notified = self.notified(|| unsafe { raw.unlock() }, op, limit, terms);
        // Not taken yet if the wait was refused at the door; then it is held.
        match notified {
            Err(Refused::AtTheDoor(error)) => Err(error),
            notified => {
                raw.lock_surely(op.with_label("lock"));
                notified.map_err(Refused::error)
            }
        }
    }

    /// Waits with the lock, and takes it again if nothing goes wrong.
    fn without_lock<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        op: Op,
        limit: Option<Option<Duration>>,
    ) -> Result<(MutexGuard<'a, T>, bool), WaitError> {
        let mutex = lock_api::MutexGuard::mutex(&guard);
        let notified = self.notified(|| drop(guard), op, limit, Terms::Fallible).map_err(Refused::error)?;
        // SAFETY: the lock is taken, and then a guard is made.
        unsafe {
            mutex.raw().lock_checked(op.with_label("lock"))?;
            Ok((mutex.make_guard_unchecked(), notified))
        }
    }

    /// Waits without a limit, for a time, or until the wait ends for no reason; says whether it was notified.
    fn notified(
        &self,
        unlock: impl FnOnce(),
        op: Op,
        limit: Option<Option<Duration>>,
        terms: Terms,
    ) -> Result<bool, Refused> {
        let arrival = Arrival::As(self.object.access(Kind::Await));
        let request = Request { arrival, timed: limit.is_some(), terms, ..Request::new(self, op) };
        wait::door(request, |inside| {
            let place = self.waiting.lock().join(None);
            unlock();
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
                    Err(Refused::Inside(error))
                }
            }
        })
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

/// Why a wait was not notified.
enum Refused {
    /// It did not begin; the lock is held.
    AtTheDoor(WaitError),
    /// The lock is not held.
    Inside(WaitError),
}

impl Refused {
    fn error(self) -> WaitError {
        match self {
            Self::AtTheDoor(error) | Self::Inside(error) => error,
        }
    }
}

impl From<WaitError> for Refused {
    fn from(error: WaitError) -> Self {
        Self::AtTheDoor(error)
    }
}

/// The lock of a guard.
fn lock_of<'a, T: ?Sized>(guard: &MutexGuard<'a, T>) -> &'a RawMutex {
    // SAFETY: whoever asks gives the lock back and takes it again while the guard is borrowed.
    unsafe { lock_api::MutexGuard::mutex(guard).raw() }
}

/// Whether a timed wait ended by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time was up, and nobody had notified.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Resource for Condvar {
    fn providers(&self) -> Providers {
        Providers::Open
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
