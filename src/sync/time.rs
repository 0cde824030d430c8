//! Time, which inside an exploration is virtual: it passes when nothing else can happen, or, for whoever waits for it,
//! at any moment, as the explorer was told.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
pub use std::time::Duration;

use super::slot::slot;
use crate::wait::{self, Awaited as _, IntoOp, Providers, Request, Resource, WaitError};

/// Blocks for this long.
///
/// # Panics
///
/// If the run on whose behalf the task sleeps is cancelled, it unwinds without a word.
///
/// # Blocking
///
/// Until the time is up: shown, and no verdict rests on it.
#[track_caller]
pub fn sleep(time: Duration) {
    let op = "sleep".into_op();
    wait::insist(|terms| {
        let (_setter, never) = slot::<()>(None);
        let request = Request { timed: true, terms, ..Request::new(&Sleep, op) };
        let slept: Result<_, WaitError> =
            wait::door(request, |inside| inside.until_timeout(&never, never.object(), Some(time)));
        slept.map(drop)
    });
}

struct Sleep;

impl Resource for Sleep {
    fn providers(&self) -> Providers {
        Providers::Open
    }

    fn name(&self) -> String {
        "time to pass".into()
    }
}

/// A moment, as [`std::time::Instant`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(std::time::Instant);

impl Instant {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self(wait::now())
    }

    /// How much time has passed since then; none if it is yet to come.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        wait::now().saturating_duration_since(self.0)
    }

    /// How much time has passed between an earlier moment and this one; none if it is a later one.
    #[must_use]
    pub fn duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    /// The moment this much later, if it can be told.
    #[must_use]
    pub fn checked_add(&self, time: Duration) -> Option<Self> {
        self.0.checked_add(time).map(Self)
    }

    /// The moment this much earlier, if it can be told.
    #[must_use]
    pub fn checked_sub(&self, time: Duration) -> Option<Self> {
        self.0.checked_sub(time).map(Self)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0 + time)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, time: Duration) {
        self.0 += time;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, time: Duration) -> Self {
        Self(self.0 - time)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, time: Duration) {
        self.0 -= time;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

impl From<Instant> for std::time::Instant {
    fn from(moment: Instant) -> Self {
        moment.0
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
