//! What senders and receivers return. An item that was not sent is given back.

use std::fmt;

use super::core::Item;
use crate::wait::{Cancelled, Deadlock, WaitError};

/// Why an item was not sent.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError<T> {
    /// There is no receiver left.
    #[error("nobody is left to receive")]
    Disconnected(T),
    /// Whoever could receive it is stuck because this task waits.
    #[error("{1}")]
    Deadlock(T, Deadlock),
    /// The run on whose behalf the task waits was cancelled.
    #[error("{1}")]
    Cancelled(T, Cancelled),
}

/// Why an item was not sent without waiting.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrySendError<T> {
    /// There is no room.
    #[error("the channel is full")]
    Full(T),
    /// There is no receiver left.
    #[error("nobody is left to receive")]
    Disconnected(T),
}

/// Why an item was not sent within a time.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendTimeoutError<T> {
    /// The time was up.
    #[error("there was no room in time")]
    Timeout(T),
    /// There is no receiver left.
    #[error("nobody is left to receive")]
    Disconnected(T),
    /// The run on whose behalf the task waits was cancelled.
    #[error("the run was cancelled")]
    Cancelled(T),
}

/// Why nothing was received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvError {
    /// There is no item, and no sender left.
    #[error("nobody is left to send")]
    Disconnected,
    /// Whoever could send something is stuck because this task waits.
    #[error("{0}")]
    Deadlock(#[from] Deadlock),
    /// The run on whose behalf the task waits was cancelled.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

/// Why nothing was received without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// There is no item.
    #[error("the channel is empty")]
    Empty,
    /// Nor is there a sender left.
    #[error("nobody is left to send")]
    Disconnected,
}

/// Why nothing was received within a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// The time was up.
    #[error("there was no item in time")]
    Timeout,
    /// There is no item, and no sender left.
    #[error("nobody is left to send")]
    Disconnected,
    /// The run on whose behalf the task waits was cancelled.
    #[error("the run was cancelled")]
    Cancelled,
}

/// What comes of receiving: the item that is there, or why there is none.
pub(super) fn received<T>(item: Option<Item<T>>, error: Option<WaitError>) -> Result<T, RecvError> {
    match (item, error) {
        (Some((item, sent)), _) => {
            sent.witness();
            Ok(item)
        }
        (None, Some(error)) => Err(error.into()),
        (None, None) => Err(RecvError::Disconnected),
    }
}

/// What comes of sending: the item is gone, or why it is still there.
pub(super) fn sent<T>(item: Option<Item<T>>, error: Option<WaitError>) -> Result<(), SendError<T>> {
    match (item, error) {
        (None, _) => Ok(()),
        (Some((item, _)), Some(error)) => Err(SendError::of(item, error)),
        (Some((item, _)), None) => Err(SendError::Disconnected(item)),
    }
}

impl<T> SendError<T> {
    fn of(item: T, error: WaitError) -> Self {
        match error {
            WaitError::Deadlock(deadlock) => Self::Deadlock(item, deadlock),
            WaitError::Cancelled(cancelled) => Self::Cancelled(item, cancelled),
        }
    }

    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Disconnected(item) | Self::Deadlock(item, _) | Self::Cancelled(item, _) => item,
        }
    }
}

impl From<WaitError> for RecvError {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Deadlock(deadlock) => deadlock.into(),
            WaitError::Cancelled(cancelled) => cancelled.into(),
        }
    }
}

/// Without the item, which need not be `Debug`.
macro_rules! debug {
    ($($error:ident),*) => {$(
        impl<T> fmt::Debug for $error<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($error))
            }
        }
    )*};
}

debug!(SendError, TrySendError, SendTimeoutError);

impl<T> TrySendError<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Disconnected(item) => item,
        }
    }
}

impl<T> SendTimeoutError<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Timeout(item) | Self::Disconnected(item) | Self::Cancelled(item) => item,
        }
    }
}
