//! Waiting, with a lock given back, until somebody says that it is worth a look.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::mutex::MutexGuard;
use super::slot::{Reader, Setter, slot};
use crate::platform;
use crate::wait::{
    self, Arrival, Deadlock, Inside, IntoOp, Kind, Manner, Object, Op, Request, Resource, TaskId,
};

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
    waiting: platform::Mutex<Line>,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<(u64, Setter<()>)>,
    next: u64,
}

/// A place in the line.
struct Place {
    number: u64,
    notified: Reader<()>,
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
    /// [`Deadlock`] if taking the lock again would never end.
    ///
    /// # Blocking
    ///
    /// Until somebody notifies. Anybody could: the wait is shown, and counts as live. A notification that came
    /// before is lost; that is a hang and no cycle, which the explorer finds and the detector does not.
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> Result<MutexGuard<'a, T>, Deadlock> {
        let op = "condvar.wait".into_op();
        if wait::wakes_spuriously() {
            return Ok(self.wait_or_not(guard, op, None)?.0);
        }
        let mutex = guard.mutex();
        let arrival = Arrival::As(self.object.access(Kind::Await));
        wait::door(Request { arrival, ..Request::new(self, op) }, |inside| {
            let place = self.enlist(guard);
            inside.until(&place.notified)
        })?
        .unwrap_or_else(|_| unreachable!("the line outlives those who stand in it"));
        mutex.lock()
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
    ) -> Result<(MutexGuard<'a, T>, bool), Deadlock> {
        self.wait_or_not(guard, "condvar.wait_timeout".into_op(), Some(timeout))
    }

    fn wait_or_not<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        op: Op,
        timeout: Option<Duration>,
    ) -> Result<(MutexGuard<'a, T>, bool), Deadlock> {
        let mutex = guard.mutex();
        let arrival = Arrival::As(self.object.access(Kind::Await));
        let request = Request { arrival, manner: Some(Manner::Unjudged), ..Request::new(self, op) };
        let notified = wait::door(request, |inside| {
            let place = self.enlist(guard);
            self.within(inside, &place, timeout)
        })?;
        Ok((mutex.lock()?, !notified))
    }

    /// Whether it was notified within the time.
    fn within(
        &self,
        inside: &Inside<'_>,
        place: &Place,
        timeout: Option<Duration>,
    ) -> Result<bool, Deadlock> {
        if inside.until_timeout(&place.notified, self.object, timeout)?.is_some() {
            return Ok(true);
        }
        // Out of the line, or a notification would be lost on somebody who does not wait. Whoever is not in it
        // any more is being notified.
        let mut line = self.waiting.lock();
        let stands = line.waiting.iter().position(|(number, _)| *number == place.number);
        let removed = stands.and_then(|at| line.waiting.remove(at));
        drop(line);
        Ok(removed.is_none())
    }

    /// Gets in line and gives the lock back.
    fn enlist<T>(&self, guard: MutexGuard<'_, T>) -> Place {
        let (setter, notified) = slot(None);
        let mut line = self.waiting.lock();
        let number = line.next;
        line.next += 1;
        line.waiting.push_back((number, setter));
        drop(line);
        drop(guard);
        Place { number, notified }
    }

    /// Wakes who waits longest, if anybody does.
    #[track_caller]
    pub fn notify_one(&self) {
        self.object.step("notify_one".into_op(), Kind::Notify);
        let first = self.waiting.lock().waiting.pop_front();
        if let Some((_, first)) = first {
            first.set(());
        }
    }

    /// Wakes all who wait.
    #[track_caller]
    pub fn notify_all(&self) {
        self.object.step("notify_all".into_op(), Kind::Notify);
        let all = std::mem::take(&mut self.waiting.lock().waiting);
        all.into_iter().for_each(|(_, waiting)| waiting.set(()));
    }
}

impl Resource for Condvar {
    fn provider(&self) -> Option<TaskId> {
        None
    }

    fn name(&self) -> String {
        format!("the condition made at {}", self.made.site)
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
        f.debug_struct("Condvar").field("made", &self.made.site).finish_non_exhaustive()
    }
}
