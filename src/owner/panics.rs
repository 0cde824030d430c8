//! A user's closure that panics: what is told of it.

use std::any::Any;

use super::error::Panicked;
use crate::platform;
use crate::wait::Op;

/// Whether a panic's backtrace is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Backtrace {
    /// It costs milliseconds, and memory.
    Keep,
    /// Its message and its place are enough.
    #[default]
    Leave,
}

/// What comes of a user's closure. It nearly always returns, so a panic takes up one word.
pub(crate) type Outcome<R> = Result<R, Box<Panicked>>;

/// Runs a user's closure; a panic becomes a value. The panic hook has been called by then.
#[inline]
pub(crate) fn caught<R>(op: Op, backtrace: Backtrace, body: impl FnOnce() -> R) -> Outcome<R> {
    platform::catch(backtrace == Backtrace::Keep, body).map_err(|caught| Box::new(Panicked::new(op, caught)))
}

/// The message of a panic, from what [`std::panic::catch_unwind`] returns.
pub(super) fn message_of(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
