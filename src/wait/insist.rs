//! Waits whose API has no error to return, such as `lock()`.

use std::sync::atomic::{AtomicU8, Ordering};

use super::cancel::WaitError;
use super::deadlock::Deadlock;
use super::door::Terms;
use super::{scheduler, task};

/// What a wait does that would complete a deadlock and has no error to return. See [`on_unreturnable`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreturnable {
    /// Panic with the report, which unwinds the task and releases what it holds.
    #[default]
    Panic,
    /// Tell the [hook](super::on_deadlock) and wait all the same: the program hangs, and can be looked at.
    Wait,
    /// Print the report and abort the process.
    Abort,
}

static CHOSEN: AtomicU8 = AtomicU8::new(Unreturnable::Panic as u8);

/// Chooses, for the whole process, what waits do that complete a deadlock and have no error to return.
///
/// A wait that is made while its task already unwinds never does any of this: another wait of the deadlock is ended
/// instead.
pub fn on_unreturnable(choice: Unreturnable) {
    CHOSEN.store(choice as u8, Ordering::Relaxed);
}

/// Waits, and unwinds where there is an error.
///
/// # Panics
///
/// With the report, if the wait would complete a deadlock. Without a word, if the run on whose behalf the task waits
/// is cancelled: the panic hook is not called.
#[track_caller]
pub(crate) fn insist<R>(mut wait: impl FnMut(Terms) -> Result<R, WaitError>) -> R {
    let terms = if task::is_unwinding() { Terms::Infallible } else { Terms::Fallible };
    match wait(terms) {
        Ok(value) => value,
        Err(_) if terms == Terms::Infallible => never(),
        Err(WaitError::Cancelled(cancelled)) => std::panic::resume_unwind(Box::new(cancelled)),
        Err(WaitError::Deadlock(deadlock)) => match CHOSEN.load(Ordering::Relaxed) {
            choice if choice == Unreturnable::Wait as u8 => wait(Terms::Unjudged).unwrap_or_else(|_| never()),
            choice if choice == Unreturnable::Abort as u8 => {
                eprintln!("{deadlock}");
                std::process::abort();
            }
            _ => panic_with(deadlock),
        },
    }
}

/// The execution that the task is part of is coming to its end, and the task cannot be refused (it unwinds already), and
/// what it waits for is not there. It goes no further.
pub(crate) fn never() -> ! {
    loop {
        scheduler::is_ending();
    }
}

/// Panics with the report; whoever catches it can tell which deadlock it was.
#[track_caller]
fn panic_with(deadlock: Deadlock) -> ! {
    let report = deadlock.to_string();
    task::current().panicked_with.replace(Some((report.as_ptr().addr(), deadlock)));
    std::panic::panic_any(report);
}

/// Why a wait that has no error to return unwound, from what [`std::panic::catch_unwind`] returned on the same task.
pub(crate) fn unwound_by(payload: &(dyn std::any::Any + Send)) -> Option<WaitError> {
    if let Some(cancelled) = payload.downcast_ref::<super::Cancelled>() {
        return Some(cancelled.clone().into());
    }
    let report = payload.downcast_ref::<String>()?.as_ptr().addr();
    let me = task::current();
    let (_, deadlock) = me.panicked_with.borrow_mut().take_if(|(text, _)| *text == report)?;
    Some(deadlock.into())
}
