//! Leave for a task to go on, which anybody can give and only the task takes; given twice it is one.
//!
//! Whoever waits for it is given it from hand to hand, so that it is taken at that moment, whenever its task wakes:
//!
//! ```text
//!   NONE  -- give -->  THERE -- take -->  NONE
//!   NONE  -- wait -->  WAITS -- give -->  GRANTED (-- give --> GRANTED_AND_THERE) -- take --> NONE (THERE)
//! ```

use super::registry;
use super::scheduler::{Object, StampCell};
use super::task::TaskId;
use crate::platform::Unseen;
use crate::platform::atomic::{AtomicU8, Ordering};

const NONE: u8 = 0;
const THERE: u8 = 1;
const WAITS: u8 = 2;
const GRANTED: u8 = 3;
const GRANTED_AND_THERE: u8 = 4;

pub(super) struct Permit {
    state: AtomicU8,
    /// What had happened when it was put there, and when it was granted to whoever waited.
    given: StampCell,
    granted: StampCell,
    object: Unseen<Object>,
}

impl Default for Permit {
    fn default() -> Self {
        Self {
            state: AtomicU8::new(NONE),
            given: StampCell::never(),
            granted: StampCell::never(),
            object: Unseen::new(Object::NONE),
        }
    }
}

impl Permit {
    /// It is that of another task now.
    pub(super) fn renew(&self) {
        self.state.store(NONE, Ordering::Relaxed);
        self.given.forget();
        *self.object.lock() = Object::new();
    }
}

/// Moves the state on as `next` says, and returns the one before.
fn moved(permit: &Permit, next: impl Fn(u8) -> u8) -> u8 {
    let mut now = permit.state.load(Ordering::Relaxed);
    loop {
        // What was done before it was given is seen by whoever takes it.
        match permit.state.compare_exchange(now, next(now), Ordering::AcqRel, Ordering::Relaxed) {
            Ok(before) => return before,
            Err(changed) => now = changed,
        }
    }
}

/// Gives the task leave to go on.
pub(crate) fn give(task: TaskId) {
    if let Some(record) = registry::record(task) {
        if record.permit.state.load(Ordering::Relaxed) == WAITS {
            record.permit.granted.set_here();
        } else {
            record.permit.given.add_here();
        }
        let before = moved(&record.permit, |state| match state {
            WAITS => GRANTED,
            GRANTED => GRANTED_AND_THERE,
            NONE => THERE,
            same => same,
        });
        if before == WAITS {
            task.unpark();
        }
    }
}

/// Takes the leave that the calling task has been given; if it has none, it waits for it from now on.
pub(crate) fn take_or_wait(me: TaskId) -> Option<()> {
    let record = registry::record(me)?;
    let before = moved(&record.permit, |state| match state {
        NONE => WAITS,
        THERE | GRANTED => NONE,
        GRANTED_AND_THERE => THERE,
        same => same,
    });
    match before {
        NONE | WAITS => return None,
        THERE => record.permit.given.witness(),
        _ => record.permit.granted.witness(),
    }
    Some(())
}

/// Takes it if it is there; the calling task does not wait for it.
pub(crate) fn take(me: TaskId) {
    if take_or_wait(me).is_none() {
        leave(me);
    }
}

/// The calling task waits no more; what it has been given meanwhile counts as taken.
pub(crate) fn leave(me: TaskId) {
    if let Some(record) = registry::record(me) {
        moved(&record.permit, |state| match state {
            WAITS | GRANTED => NONE,
            GRANTED_AND_THERE => THERE,
            same => same,
        });
    }
}

/// Whether the task has leave to go on.
pub(crate) fn is_there(task: TaskId) -> bool {
    registry::record(task)
        .is_some_and(|record| !matches!(record.permit.state.load(Ordering::Acquire), NONE | WAITS))
}

/// What is touched by giving and taking it.
pub(crate) fn object(task: TaskId) -> Object {
    let record = registry::record(task);
    record.map_or(Object::NONE, |record| *record.permit.object.lock())
}
