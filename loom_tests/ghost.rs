//! What is true, kept beside the detector: who can end which wait, and who waits for what.
//!
//! The models keep this record themselves, around what they ask of the crate, under the names that reports use. loom does
//! not see it, so it costs no execution, and since loom runs one thread at a time it is of one moment.
//!
//! At the moment at which a deadlock is reported, each of its hops has to be true: the task waits for that, and whoever is
//! said to hold it does, and waits for another of them. Somebody who is stuck has noted all that it holds and what
//! it waits for, so a true report always passes. Somebody who gives a thing back notes that before, so a report that rests
//! on it does not.

use std::cell::RefCell;

use impasse::sync::{Mutex, MutexGuard};
use impasse::{Deadlock, WaitError};

/// A task, and what it has or waits for.
type Note = (String, String);

#[derive(Default)]
struct Ghost {
    holds: Vec<Note>,
    waits: Vec<Note>,
    /// Whose waits end by themselves.
    called_off: Vec<String>,
}

std::thread_local! {
    // loom runs all threads of a model on one thread.
    static GHOST: RefCell<Ghost> = RefCell::default();
}

/// Begins an execution.
pub(crate) fn reset() {
    GHOST.take();
}

/// Ends an execution.
///
/// # Panics
///
/// If somebody still waits.
pub(crate) fn is_at_rest() {
    GHOST.with_borrow(|ghost| assert!(ghost.waits.is_empty(), "somebody still waits: {:?}", ghost.waits));
}

/// Looks at a report, if the model keeps a record.
///
/// # Panics
///
/// If it is false, or if it rests on a wait that completed another deadlock, and has been refused for that.
pub(crate) fn judge(deadlock: &Deadlock) {
    GHOST.with_borrow_mut(|ghost| {
        if ghost.holds.is_empty() && ghost.waits.is_empty() {
            return;
        }
        for hop in deadlock.hops() {
            let wait = (hop.task.clone(), hop.waits_for.clone());
            let goes_on = ghost.waits.contains(&wait) && !ghost.called_off.contains(&hop.task);
            assert!(goes_on, "a false report: {hop} no more, in {deadlock}");
            for holder in hop.held_by.split(" or ") {
                let holds = ghost.holds.contains(&(holder.into(), hop.waits_for.clone()));
                assert!(holds, "a false report: {holder} is not what {hop}, in {deadlock}");
                assert!(deadlock.hops().iter().any(|other| other.task == holder), "no deadlock: {deadlock}");
            }
        }
        let completes = deadlock.hops().last().expect("a deadlock has waits");
        ghost.waits.retain(|(task, _)| *task != completes.task);
    });
}

/// A task of a model, by the name that reports use.
pub(crate) struct Me(String);

/// Makes the calling thread a task of this name for as long as `body` runs.
pub(crate) fn task<R>(name: &str, body: impl FnOnce(&Me) -> R) -> R {
    impasse::checking::as_task(name, || body(&me()))
}

/// The calling task, which has its name from elsewhere.
pub(crate) fn me() -> Me {
    Me(impasse::checking::task_name())
}

/// A task that is known by this name.
pub(crate) fn named(name: &str) -> Me {
    Me(name.into())
}

impl Me {
    /// Waits for what reports call `what`.
    pub(crate) fn waits<R>(&self, what: &str, wait: impl FnOnce() -> R) -> R {
        let note: Note = (self.0.clone(), what.into());
        GHOST.with_borrow_mut(|ghost| ghost.waits.push(note));
        let waited = wait();
        GHOST.with_borrow_mut(|ghost| ghost.waits.retain(|(task, _)| *task != self.0));
        waited
    }

    /// Its waits end by themselves from now on.
    pub(crate) fn is_called_off(&self) {
        GHOST.with_borrow_mut(|ghost| ghost.called_off.push(self.0.clone()));
    }

    /// Waits for what reports call `what` have to be ended by this task, until what is returned is dropped.
    pub(crate) fn holds(&self, what: &str) -> Held {
        let note: Note = (self.0.clone(), what.into());
        GHOST.with_borrow_mut(|ghost| ghost.holds.push(note.clone()));
        Held(note)
    }
}

/// See [`Me::holds`].
pub(crate) struct Held(Note);

impl Drop for Held {
    fn drop(&mut self) {
        GHOST.with_borrow_mut(|ghost| {
            let at = ghost.holds.iter().position(|note| *note == self.0);
            ghost.holds.swap_remove(at.expect("it was noted"));
        });
    }
}

/// A lock that is taken and given back in the record as well.
pub(crate) struct Lock(&'static str, Mutex<()>);

/// The right to a [`Lock`]. That it goes is noted before.
pub(crate) struct Guard<'a> {
    _noted: Held,
    _guard: MutexGuard<'a, ()>,
}

impl Lock {
    pub(crate) fn named(name: &'static str) -> Self {
        Self(name, Mutex::named(name, ()))
    }

    pub(crate) fn take(&self, me: &Me) -> Result<Guard<'_>, WaitError> {
        let Self(name, lock) = self;
        let name = format!("lock `{name}`");
        let guard = me.waits(&name, || lock.checked_lock())?;
        Ok(Guard { _noted: me.holds(&name), _guard: guard })
    }
}
