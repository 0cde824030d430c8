//! What a script still owes before it is done.
//!
//! A script is done when its top level has ended, no microtask is left and every run it started has settled;
//! or as soon as it threw, or rejected a promise that nobody handles.

use std::cell::{Cell, RefCell};

use super::exception::Exception;

type Done = Box<dyn FnOnce(Result<(), Exception>)>;

#[derive(Default)]
pub(super) struct Progress {
    /// Runs that have been started and not settled.
    running: Cell<usize>,
    /// What the top level ended in.
    ended: RefCell<Option<Result<(), Exception>>>,
    /// Promises, by their addresses, that were rejected with nobody to handle it.
    rejected: RefCell<Vec<(usize, Exception)>>,
    done: RefCell<Option<Done>>,
}

impl Progress {
    /// Calls `done` once, when the script is.
    pub(super) fn when_done(&self, done: impl FnOnce(Result<(), Exception>) + 'static) {
        *self.done.borrow_mut() = Some(Box::new(done));
    }

    pub(super) fn top_level_ended(&self, result: Result<(), Exception>) {
        *self.ended.borrow_mut() = Some(result);
    }

    pub(super) fn run_started(&self) {
        self.running.set(self.running.get() + 1);
    }

    pub(super) fn run_settled(&self) {
        self.running.set(self.running.get() - 1);
    }

    pub(super) fn rejected(&self, promise: usize, reason: Exception) {
        self.rejected.borrow_mut().push((promise, reason));
    }

    pub(super) fn handled(&self, promise: usize) {
        self.rejected.borrow_mut().retain(|(rejected, _)| *rejected != promise);
    }

    /// Looks whether the script is done: after every outermost entry of the machine, its microtasks included.
    pub(super) fn check(&self) {
        let result = match (&*self.ended.borrow(), self.rejected.borrow().first()) {
            (None, _) => return,
            (Some(Err(thrown)), _) => Err(thrown.clone()),
            (Some(Ok(())), Some((_, reason))) => Err(reason.clone()),
            (Some(Ok(())), None) if self.running.get() > 0 => return,
            (Some(Ok(())), None) => Ok(()),
        };
        let done = self.done.borrow_mut().take();
        if let Some(done) = done {
            done(result);
        }
    }
}
