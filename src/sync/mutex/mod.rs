//! A lock that knows who holds it.
//!
//! The holder is the lock: one word is 0, or the task that holds it and whether somebody waits. So who provides the
//! lock and whether it is taken can never be told apart, and a wait for it is a wait like any other, which a
//! cancelled run leaves. What locks offer beyond that (mapped and owned guards, a value of unknown size) is lock_api's.
//!
//! `lock.rs` has the word and the line of those who wait.

#![allow(unsafe_code)]

mod lock;

use std::fmt;
use std::ops::Deref;
use std::time::{Duration, Instant};

use crate::platform::{Late, late};
use crate::wait::{self, IntoOp, Object, Op, Terms, WaitError};
use lock::Lock;

/// A mutual exclusion lock whose waits are seen by the detector. As `parking_lot`'s: no poisoning, and everything
/// that [`lock_api::Mutex`] offers.
///
/// ```
/// # fn main() -> Result<(), impasse::WaitError> {
/// let balance = impasse::sync::Mutex::named("balance", 100);
/// *balance.lock() -= 10;
/// assert_eq!(*balance.checked_lock()?, 90);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// `lock()` has no error to return. If the wait would never end, it panics with the report, and while the task already
/// unwinds another wait of the deadlock is ended in its place: see [`on_unreturnable`](crate::wait::on_unreturnable).
/// If the run on whose behalf it waits is cancelled, it unwinds without a word.
///
/// # Blocking
///
/// Until the holder unlocks; the edge of the wait-for graph leads to the holder. On an owner thread it is allowed under
/// every policy; under `Serve` the jobs that the holder waits for are run meanwhile. `try_lock_for` and
/// `try_lock_until` are shown, and no verdict rests on them.
pub struct Mutex<T: ?Sized>(lock_api::Mutex<RawMutex, T>);

/// The right to the value of a [`Mutex`]; unlocks when dropped. It stays on its thread.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;
/// The right to a part of the value of a [`Mutex`].
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;

impl<T> Mutex<T> {
    /// A free lock around `value`. Reports call it by this line.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self::named("", value)
    }

    /// A free lock around `value` that reports call `label`.
    #[track_caller]
    pub fn named(label: &'static str, value: T) -> Self {
        Self(lock_api::Mutex::from_raw(RawMutex::named(label), value))
    }

    /// A free lock for a static. Reports have no name for it, and an exploration no use: it would outlive each
    /// execution.
    pub const fn const_new(value: T) -> Self {
        Self(lock_api::Mutex::new(value))
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// As `lock`, with an error to return.
    ///
    /// # Errors
    ///
    /// [`WaitError::Deadlock`] if the wait would never end: the holder waits, directly or through others, for this
    /// task, or this task holds the lock itself. [`WaitError::Cancelled`] if the task has to wait and acts on behalf
    /// of a run that is cancelled.
    #[track_caller]
    pub fn checked_lock(&self) -> Result<MutexGuard<'_, T>, WaitError> {
        let op = "lock".into_op();
        // SAFETY: of the raw lock nothing is asked but to be taken, and then a guard is made.
        unsafe {
            self.0.raw().lock_checked(op)?;
            Ok(self.0.make_guard_unchecked())
        }
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T: ?Sized> Deref for Mutex<T> {
    type Target = lock_api::Mutex<RawMutex, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The lock without a value, for [`lock_api`].
pub struct RawMutex {
    lock: Late<Lock>,
}

impl RawMutex {
    /// A free lock that reports call `label`, or, if that is empty, by this line.
    #[track_caller]
    #[must_use]
    pub fn named(label: &'static str) -> Self {
        Self { lock: Late::new(Lock::made(label.into_op(), Object::new())) }
    }
}

impl RawMutex {
    /// Takes the lock, by whatever it takes, and whatever has been cancelled.
    pub(super) fn lock_surely(&self, op: Op) {
        if !self.lock.take_at_once(op) && self.lock.arrive(op, Terms::Infallible).is_err() {
            wait::never();
        }
    }

    /// Takes the lock.
    pub(super) fn lock_checked(&self, op: Op) -> Result<(), WaitError> {
        self.lock.acquire(op)
    }
}

// SAFETY: one task at a time gets the word from 0 to its own, and until `unlock` nobody else does.
unsafe impl lock_api::RawMutex for RawMutex {
    #[allow(clippy::declare_interior_mutable_const, reason = "what it is for")]
    const INIT: Self = Self { lock: late!(Lock::made(Op::unasked(""), Object::NONE)) };

    type GuardMarker = lock_api::GuardNoSend;

    #[inline]
    #[track_caller]
    fn lock(&self) {
        self.lock.acquire_surely("lock".into_op());
    }

    #[inline]
    #[track_caller]
    fn try_lock(&self) -> bool {
        self.lock.try_acquire("try_lock".into_op())
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: as here.
        unsafe { self.lock.release() }
    }

    fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }
}

// SAFETY: they take the lock or not, as the others.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    #[track_caller]
    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.lock.acquire_within("try_lock_for".into_op(), timeout)
    }

    #[track_caller]
    fn try_lock_until(&self, deadline: Instant) -> bool {
        let timeout = deadline.saturating_duration_since(wait::now());
        self.lock.acquire_within("try_lock_until".into_op(), timeout)
    }
}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawMutex").finish_non_exhaustive()
    }
}
