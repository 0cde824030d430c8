//! Leave for a task to go on, which anybody can give and only the task takes; given twice it is one.

use std::sync::PoisonError;

use super::registry;
use super::scheduler::{Object, StampCell};
use super::task::TaskId;
use crate::platform::atomic::{AtomicBool, Ordering};

pub(super) struct Permit {
    is_there: AtomicBool,
    given: StampCell,
    object: std::sync::Mutex<Object>,
}

impl Default for Permit {
    fn default() -> Self {
        Self {
            is_there: AtomicBool::new(false),
            given: StampCell::NEVER,
            object: std::sync::Mutex::new(Object::NONE),
        }
    }
}

impl Permit {
    /// It is that of another task now.
    pub(super) fn renew(&self) {
        self.is_there.store(false, Ordering::Relaxed);
        self.given.forget();
        *self.object.lock().unwrap_or_else(PoisonError::into_inner) = Object::new();
    }
}

/// Gives the task leave to go on.
pub(crate) fn give(task: TaskId) {
    if let Some(record) = registry::record(task) {
        record.permit.given.add_here();
        record.permit.is_there.store(true, Ordering::Release);
        task.unpark();
    }
}

/// Takes the leave that the calling task has been given, if it has.
pub(crate) fn take(me: TaskId) -> Option<()> {
    let record = registry::record(me)?;
    // What was done before it was given is seen from here on.
    let taken = record.permit.is_there.swap(false, Ordering::AcqRel);
    taken.then(|| record.permit.given.witness())
}

/// Whether the task has leave to go on.
pub(crate) fn is_there(task: TaskId) -> bool {
    registry::record(task).is_some_and(|record| record.permit.is_there.load(Ordering::Acquire))
}

/// What is touched by giving and taking it.
pub(crate) fn object(task: TaskId) -> Object {
    let record = registry::record(task);
    record.map_or(Object::NONE, |record| *record.permit.object.lock().unwrap_or_else(PoisonError::into_inner))
}
