//! A lock that many may read at once, which knows who reads it and who writes.
//!
//! Who reads is noted by the readers, each for itself (`wait/holds.rs`), so that reading costs no more than a count.
//! Those who have to wait are served in the order in which they came, from hand to hand: nobody overtakes, so a reader
//! behind a writer waits for that one, which the detector can say.
//!
//! | file | idea |
//! | --- | --- |
//! | `word.rs` | who may hold it beside whom |
//! | `lock.rs` | taking it, giving it back, and the line of those who wait |

#![allow(unsafe_code)]

mod lock;
mod word;

use std::fmt;
use std::ops::Deref;
use std::time::{Duration, Instant};

use crate::platform::{Late, late};
use crate::wait::{self, IntoOp, Object, Op, Terms, WaitError};
use lock::Lock;
use word::Mode;

/// A readers-writer lock whose waits are seen by the detector. As `parking_lot`'s: no poisoning, upgradable reads,
/// and everything that [`lock_api::RwLock`] offers.
///
/// Served in the order of arrival: whoever reads while a writer waits gets behind that writer. So to read again what
/// one reads already can be a deadlock, and is reported as one.
///
/// ```
/// # fn main() -> Result<(), impasse::WaitError> {
/// let table = impasse::sync::RwLock::named("table", vec![1]);
/// table.write().push(2);
/// assert_eq!(table.checked_read()?.len(), 2);
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// `read()`, `write()`, `upgradable_read()` and `upgrade()` as [`Mutex`](super::Mutex)'s `lock()`.
///
/// # Blocking
///
/// A reader until those ahead of it who want to write have done so; a writer until all who hold the lock or came before
/// have given it back. The edges lead to all of those. The `try_..._for` and `try_..._until` are shown, and no verdict
/// rests on them.
pub struct RwLock<T: ?Sized>(lock_api::RwLock<RawRwLock, T>);

/// The right to read the value of an [`RwLock`].
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;
/// The right to the value of an [`RwLock`].
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;
/// The right to read the value of an [`RwLock`], and to be the next to write it.
pub type RwLockUpgradableReadGuard<'a, T> = lock_api::RwLockUpgradableReadGuard<'a, RawRwLock, T>;
/// The right to read a part of the value of an [`RwLock`].
pub type MappedRwLockReadGuard<'a, T> = lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>;
/// The right to a part of the value of an [`RwLock`].
pub type MappedRwLockWriteGuard<'a, T> = lock_api::MappedRwLockWriteGuard<'a, RawRwLock, T>;

impl<T> RwLock<T> {
    /// A free lock around `value`. Reports call it by this line.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self::named("", value)
    }

    /// A free lock around `value` that reports call `label`.
    #[track_caller]
    pub fn named(label: &'static str, value: T) -> Self {
        Self(lock_api::RwLock::from_raw(RawRwLock::named(label), value))
    }

    /// A free lock for a static: see [`Mutex::const_new`](super::Mutex::const_new).
    pub const fn const_new(value: T) -> Self {
        Self(lock_api::RwLock::new(value))
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// As `read`, with an error to return.
    ///
    /// # Errors
    ///
    /// As [`Mutex::checked_lock`](super::Mutex::checked_lock).
    #[track_caller]
    pub fn checked_read(&self) -> Result<RwLockReadGuard<'_, T>, WaitError> {
        let op = "read".into_op();
        // SAFETY: of the raw lock nothing is asked but to be taken, and then a guard is made.
        unsafe {
            self.0.raw().lock.acquire(Mode::Read, op, Terms::Fallible)?;
            Ok(self.0.make_read_guard_unchecked())
        }
    }

    /// As `write`, with an error to return.
    ///
    /// # Errors
    ///
    /// As [`Mutex::checked_lock`](super::Mutex::checked_lock).
    #[track_caller]
    pub fn checked_write(&self) -> Result<RwLockWriteGuard<'_, T>, WaitError> {
        let op = "write".into_op();
        // SAFETY: as above.
        unsafe {
            self.0.raw().lock.acquire(Mode::Write, op, Terms::Fallible)?;
            Ok(self.0.make_write_guard_unchecked())
        }
    }

    /// The value, which nobody else can reach.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T: ?Sized> Deref for RwLock<T> {
    type Target = lock_api::RwLock<RawRwLock, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The lock without a value, for [`lock_api`].
pub struct RawRwLock {
    lock: Late<Lock>,
}

impl RawRwLock {
    /// A free lock that reports call `label`, or, if that is empty, by this line.
    #[track_caller]
    #[must_use]
    pub fn named(label: &'static str) -> Self {
        Self { lock: Late::new(Lock::made(label.into_op(), Object::new())) }
    }
}

// SAFETY: `Word` says who may hold it beside whom, and every change of the word keeps to that.
unsafe impl lock_api::RawRwLock for RawRwLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "what it is for")]
    const INIT: Self = Self { lock: late!(Lock::made(Op::unasked(""), Object::NONE)) };

    type GuardMarker = lock_api::GuardNoSend;

    #[inline]
    #[track_caller]
    fn lock_shared(&self) {
        self.lock.acquire_surely(Mode::Read, "read".into_op());
    }

    #[track_caller]
    fn try_lock_shared(&self) -> bool {
        self.lock.try_acquire(Mode::Read, "try_read".into_op())
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        self.lock.release(Mode::Read);
    }

    #[inline]
    #[track_caller]
    fn lock_exclusive(&self) {
        self.lock.acquire_surely(Mode::Write, "write".into_op());
    }

    #[track_caller]
    fn try_lock_exclusive(&self) -> bool {
        self.lock.try_acquire(Mode::Write, "try_write".into_op())
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        self.lock.release(Mode::Write);
    }

    fn is_locked(&self) -> bool {
        self.lock.look("is locked?").is_held()
    }

    fn is_locked_exclusive(&self) -> bool {
        self.lock.look("is locked?").writer().is_some()
    }
}

// SAFETY: as above; one upgradable reader at a time, beside other readers.
unsafe impl lock_api::RawRwLockUpgrade for RawRwLock {
    #[track_caller]
    fn lock_upgradable(&self) {
        self.lock.acquire_surely(Mode::Upgradable, "upgradable_read".into_op());
    }

    #[track_caller]
    fn try_lock_upgradable(&self) -> bool {
        self.lock.try_acquire(Mode::Upgradable, "try_upgradable_read".into_op())
    }

    unsafe fn unlock_upgradable(&self) {
        self.lock.release(Mode::Upgradable);
    }

    #[track_caller]
    unsafe fn upgrade(&self) {
        self.lock.acquire_surely(Mode::Upgrade, "upgrade".into_op());
    }

    #[track_caller]
    unsafe fn try_upgrade(&self) -> bool {
        self.lock.try_acquire(Mode::Upgrade, "try_upgrade".into_op())
    }
}

// SAFETY: the holder keeps the lock, in another mode that is not stronger.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    unsafe fn downgrade(&self) {
        self.lock.becomes(Mode::Write, Mode::Read);
    }
}

// SAFETY: as above.
unsafe impl lock_api::RawRwLockUpgradeDowngrade for RawRwLock {
    unsafe fn downgrade_upgradable(&self) {
        self.lock.becomes(Mode::Upgradable, Mode::Read);
    }

    unsafe fn downgrade_to_upgradable(&self) {
        self.lock.becomes(Mode::Write, Mode::Upgradable);
    }
}

// SAFETY: they take the lock or not, as the others.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    #[track_caller]
    fn try_lock_shared_for(&self, timeout: Duration) -> bool {
        self.lock.acquire_within(Mode::Read, "try_read_for".into_op(), timeout)
    }

    #[track_caller]
    fn try_lock_shared_until(&self, deadline: Instant) -> bool {
        self.lock.acquire_within(Mode::Read, "try_read_until".into_op(), left(deadline))
    }

    #[track_caller]
    fn try_lock_exclusive_for(&self, timeout: Duration) -> bool {
        self.lock.acquire_within(Mode::Write, "try_write_for".into_op(), timeout)
    }

    #[track_caller]
    fn try_lock_exclusive_until(&self, deadline: Instant) -> bool {
        self.lock.acquire_within(Mode::Write, "try_write_until".into_op(), left(deadline))
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(wait::now())
}

impl fmt::Debug for RawRwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRwLock").finish_non_exhaustive()
    }
}
