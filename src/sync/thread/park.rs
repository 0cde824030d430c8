//! Waiting until somebody says go on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::wait::{
    self, Arrival, Awaited, IntoOp, Kind, Object, Providers, Request, Resource, TaskId, permit,
};

/// A thread, as others know it.
#[derive(Clone)]
pub struct Thread {
    id: TaskId,
    name: Option<Arc<str>>,
    /// Touched by letting it go on, whether it still is or not.
    permit: Object,
}

impl Thread {
    pub(super) fn of(id: TaskId, name: Option<Arc<str>>) -> Self {
        Self { id, name, permit: permit::object(id) }
    }

    /// Its task.
    pub(super) fn id(&self) -> TaskId {
        self.id
    }

    /// Its name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Lets the thread's [`park`] end, or the next one not begin. Once is as good as many times.
    #[track_caller]
    pub fn unpark(&self) {
        self.permit.step("unpark".into_op(), Kind::Store);
        permit::give(self.id);
    }
}

/// Two are equal if they are one thread.
impl PartialEq for Thread {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Thread {}

/// As reports call it.
impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "thread `{name}`"),
            None => f.write_str(&wait::name(self.id)),
        }
    }
}

impl fmt::Debug for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thread({self})")
    }
}

/// The calling thread.
#[must_use]
pub fn current() -> Thread {
    Thread::of(wait::current_id(), std::thread::current().name().map(Into::into))
}

/// Waits until somebody [unparks](Thread::unpark) this thread; not at all if that has been done since the last time.
///
/// # Panics
///
/// If the run on whose behalf it waits is cancelled, it unwinds without a word.
///
/// # Blocking
///
/// Until it is unparked. Anybody could do that: the wait is shown, and counts as live.
#[track_caller]
pub fn park() {
    let (op, me) = ("park".into_op(), Parked(wait::current_id()));
    wait::insist(|terms| {
        let request = Request { arrival: me.arrival(), terms, ..Request::new(&me, op) };
        wait::door(request, |inside| inside.until(&me))
    });
}

/// As [`park`], for at most this long.
///
/// # Panics
///
/// As `park`.
///
/// # Blocking
///
/// As `park`, and no verdict rests on it.
#[track_caller]
pub fn park_timeout(timeout: Duration) {
    let (op, me) = ("park_timeout".into_op(), Parked(wait::current_id()));
    if wait::timeouts_any_time() == Some(true) {
        // The time is up at any moment: at some it has leave to go on, or at that one it has not.
        me.object().step(op, Kind::Store);
        permit::take(me.0);
        return;
    }
    wait::insist(|terms| {
        let request = Request { arrival: me.arrival(), terms, timed: true, ..Request::new(&me, op) };
        wait::door(request, |inside| inside.until_timeout(&me, me.object(), Some(timeout)))
    });
}

/// What a thread that is parked waits for.
struct Parked(TaskId);

impl Parked {
    fn arrival(&self) -> Arrival {
        Arrival::As(self.object().access(Kind::Store))
    }
}

impl Awaited for Parked {
    type Value = ();

    fn poll(&self, _: TaskId) -> Option<()> {
        permit::take_or_wait(self.0)
    }

    fn is_ready(&self) -> bool {
        permit::is_there(self.0)
    }

    fn object(&self) -> Object {
        permit::object(self.0)
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        permit::leave(self.0);
    }
}

impl Resource for Parked {
    fn providers(&self) -> Providers {
        Providers::Open
    }

    fn name(&self) -> String {
        "somebody to unpark it".into()
    }
}
