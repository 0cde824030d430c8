//! What an owner does after a job has panicked.

use super::error::Panicked;

/// What an owner does after a job has panicked, which may have left the state in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AfterPanic<T> {
    /// It goes on with the state as it is.
    #[default]
    Continue,
    /// It goes on with another state. Jobs that are in progress below the one that panicked keep the one they have.
    Replace(T),
    /// It accepts nothing more, runs what it has accepted, and ends.
    Close,
}

/// Decides that, on the owner's thread.
pub(super) type OnPanic<T> = Box<dyn Fn(&T, &Panicked) -> AfterPanic<T>>;

/// Something that decides what an owner of a `T` does after a panic: see
/// [`Builder::on_panic`](crate::OwnerBuilder::on_panic).
pub trait Resilience<T>: Send + 'static {
    /// What to do after `panicked`.
    fn after(&self, state: &T, panicked: &Panicked) -> AfterPanic<T>;
}

/// Goes on with the state as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct GoOn;

impl<T> Resilience<T> for GoOn {
    fn after(&self, _: &T, _: &Panicked) -> AfterPanic<T> {
        AfterPanic::Continue
    }
}

impl<T, F: Fn(&T, &Panicked) -> AfterPanic<T> + Send + 'static> Resilience<T> for F {
    fn after(&self, state: &T, panicked: &Panicked) -> AfterPanic<T> {
        self(state, panicked)
    }
}
