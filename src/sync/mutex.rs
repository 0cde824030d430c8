//! A lock that knows who holds it.
//!
//! The holder is the lock: one word is 0, or the task that holds it and whether somebody waits. So who provides the
//! lock and whether it is taken can never be told apart, and a wait for it is a wait like any other, which a
//! cancelled run leaves. What locks offer beyond that (mapped and owned guards, a value of unknown size) is lock_api's.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::time::{Duration, Instant};

use super::made::Made;
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::{self, Bug, Late, late, seeded};
use crate::wait::{
    self, Arrival, Awaited, Held, IntoOp, Kind, Object, Op, Providers, Request, Resource, Site, StampCell,
    TaskId, Terms, WaitError,
};

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
        self.lock.object.observe();
        self.lock.object.step(Op::unasked("is locked?"), Kind::TryLock);
        self.lock.holder().is_some()
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

/// The task of a word.
#[inline(always)]
fn holder_of(word: u64) -> Option<TaskId> {
    TaskId::from_word(word & !WAITED_FOR)
}

/// What the lock consists of. The word comes last, beside the value: whoever takes the lock needs both, and where tasks
/// fight for it they would fight for two cache lines.
#[repr(C)]
struct Lock {
    /// Those who wait, longest first.
    line: platform::Mutex<VecDeque<TaskId>>,
    made: Made,
    object: Object,
    /// What had happened when it was last unlocked.
    unlocked: StampCell,
    /// The task that holds it, or 0; and [`WAITED_FOR`].
    word: AtomicU64,
}

/// Set in the word while somebody is in the line.
const WAITED_FOR: u64 = 1 << 63;
const _: () = assert!(WAITED_FOR & !TaskId::SPARE == 0);

impl Lock {
    platform::const_fn! {
        /// A free one.
        fn made(made: Op, object: Object) -> Self {
            Self {
                word: AtomicU64::new(0),
                line: platform::Mutex::new(VecDeque::new()),
                made: Made::at(made),
                object,
                unlocked: StampCell::never(),
            }
        }
    }

    /// Takes the lock, waiting for it if need be.
    #[inline]
    fn acquire(&self, op: Op) -> Result<(), WaitError> {
        if self.take_at_once(op) { Ok(()) } else { self.arrive(op, Terms::Fallible) }
    }

    /// The same, by whatever it takes: see [`wait::insist`].
    #[inline(always)]
    #[track_caller]
    fn acquire_surely(&self, op: Op) {
        if !self.take_at_once(op) {
            self.insist(op);
        }
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn insist(&self, op: Op) {
        wait::insist(|terms| self.arrive(op, terms));
    }

    /// Takes the lock, and that no later than in a moment. Never in an exploration: there it begins with an arrival.
    #[inline(always)]
    fn take_at_once(&self, op: Op) -> bool {
        let me = wait::current_id();
        let taken = !wait::is_explored() && (self.take(0, me) || self.take_soon(me));
        if taken {
            wait::hold(Held::alone(self), op);
        }
        taken
    }

    #[cold]
    fn arrive(&self, op: Op, terms: Terms) -> Result<(), WaitError> {
        self.object.arrive(op, Kind::Lock, self)?;
        if !self.take(0, wait::current_id()) {
            let request = Request { arrival: Arrival::Made, terms, ..Request::new(self, op) };
            wait::door(request, |inside| inside.until(&Turn { lock: self, in_line: Cell::new(false) }))?;
        }
        self.is_taken(op);
        Ok(())
    }

    /// Takes the lock if it becomes free in a moment and nobody is in line: most holders are quick. (How long is
    /// parking_lot's choice too.)
    #[cold]
    #[inline(never)]
    fn take_soon(&self, me: TaskId) -> bool {
        platform::in_a_moment(|turn| {
            let now = self.word.load(Ordering::Relaxed);
            // Whoever looks at the holder's record slows it down.
            let waits = |holder| turn > 2 && wait::seems_to_wait(holder);
            let is_hopeless =
                now & WAITED_FOR != 0 || holder_of(now).is_some_and(|holder| holder == me || waits(holder));
            if is_hopeless {
                return Some(false);
            }
            self.take(now, me).then_some(true)
        })
    }

    fn try_acquire(&self, op: Op) -> bool {
        self.object.observe();
        self.object.step(op, Kind::TryLock);
        let taken = self.take(0, wait::current_id());
        if taken {
            self.is_taken(op);
        }
        taken
    }

    /// Takes the lock if that can be within this time. Where an explorer lets time be up at any moment, it is taken
    /// at some moment, or at that moment it is not free.
    fn acquire_within(&self, op: Op, timeout: Duration) -> bool {
        if wait::timeouts_any_time() == Some(true) {
            return self.try_acquire(op);
        }
        self.object.arrive(op, Kind::Lock, self).is_ok()
            && (self.take(0, wait::current_id()) || {
                let request = Request { arrival: Arrival::Made, timed: true, ..Request::new(self, op) };
                let turn = Turn { lock: self, in_line: Cell::new(false) };
                let came =
                    wait::door(request, |inside| inside.until_timeout(&turn, self.object, Some(timeout)));
                matches!(came, Ok(Some(())))
            })
            && {
                self.is_taken(op);
                true
            }
    }

    fn is_taken(&self, op: Op) {
        wait::hold(Held::alone(self), op);
        self.unlocked.witness();
    }

    /// Takes the lock if it is free; the word is thought to be `now`.
    #[inline(always)]
    fn take(&self, mut now: u64, me: TaskId) -> bool {
        // Whoever comes by may overtake those who wait.
        while now & !WAITED_FOR == 0 {
            let taken =
                self.word.compare_exchange(now, now | me.word(), Ordering::Acquire, Ordering::Relaxed);
            match taken {
                Ok(_) => return true,
                Err(changed) => now = changed,
            }
        }
        false
    }

    fn holder(&self) -> Option<TaskId> {
        holder_of(self.word.load(Ordering::Acquire))
    }

    /// Gives the lock back.
    ///
    /// # Safety
    ///
    /// The caller holds the lock, and gives it up by this.
    #[inline(always)]
    unsafe fn release(&self) {
        if wait::is_explored() {
            self.released();
        }
        let me = wait::current_id();
        wait::unhold(Held::alone(self));
        if self.word.compare_exchange(me.word(), 0, Ordering::Release, Ordering::Relaxed).is_err() {
            self.call_next();
        }
    }

    /// The step of whoever gives the lock back.
    #[cold]
    fn released(&self) {
        self.object.step(Op::unasked("unlock"), Kind::Unlock);
        self.unlocked.set_here();
    }

    /// Gives the lock back and wakes whoever waits longest. Inside an exploration the lock goes from hand to hand,
    /// in the order of arrival, since the arrival is the step: that some other task could overtake between two
    /// hands adds no outcome, since that task could have arrived first.
    #[cold]
    fn call_next(&self) {
        let mut line = self.line.lock();
        if self.holder() != Some(wait::current_id()) {
            wait::unhold_by_another(Held::alone(self));
        }
        let next = line.pop_front();
        let waited_for = if line.is_empty() { 0 } else { WAITED_FOR };
        let holder = next.filter(|_| wait::is_explored()).map_or(0, TaskId::word);
        self.word.store(holder | waited_for, Ordering::Release);
        drop(line);
        next.into_iter().for_each(TaskId::unpark);
    }
}

impl Resource for Lock {
    fn providers(&self) -> Providers {
        Providers::one(self.holder())
    }

    fn name(&self) -> String {
        self.made.name("lock")
    }

    fn taken(&self, by: &[TaskId]) -> Option<Site> {
        wait::line_of(Held::alone(self), by)
    }
}

impl Drop for Lock {
    /// A guard that was forgotten must not leave a note for ever.
    fn drop(&mut self) {
        if platform::KEEPS_LINES && self.word.load(Ordering::Relaxed) != 0 {
            wait::forget(Held::alone(self));
        }
    }
}

/// One task's wait for the lock.
struct Turn<'a> {
    lock: &'a Lock,
    in_line: Cell<bool>,
}

impl Awaited for Turn<'_> {
    type Value = ();

    fn poll(&self, waiter: TaskId) -> Option<()> {
        let lock = self.lock;
        let mut line = lock.line.lock();
        let place = line.iter().position(|task| *task == waiter);
        let was_called = self.in_line.get() && place.is_none();
        let given = was_called && wait::is_explored() && lock.holder() == Some(waiter);
        // From here on whoever unlocks comes for the line.
        let is_free = lock.word.fetch_or(WAITED_FOR, Ordering::Relaxed) & !WAITED_FOR == 0;
        if given || is_free && lock.take(WAITED_FOR, waiter) {
            place.and_then(|place| line.remove(place));
            self.in_line.set(false);
            if line.is_empty() {
                lock.word.fetch_and(!WAITED_FOR, Ordering::Relaxed);
            }
            return Some(());
        }
        match place {
            Some(_) => {}
            // Called, and overtaken.
            None if was_called => line.push_front(waiter),
            None => line.push_back(waiter),
        }
        self.in_line.set(true);
        None
    }

    fn is_ready(&self) -> bool {
        self.lock.holder().is_none()
    }

    fn object(&self) -> Object {
        self.lock.object
    }

    fn look(&self) -> Kind {
        Kind::Lock
    }

    /// Whoever does not wait for the lock leaves the line; and one who was called has somebody else called.
    fn pause(&self, waiter: TaskId) {
        if !self.in_line.replace(false) || seeded(Bug::StaysInLine) {
            return;
        }
        let mut line = self.lock.line.lock();
        match line.iter().position(|task| *task == waiter) {
            Some(place) => drop(line.remove(place)),
            None if self.lock.holder().is_none() => {
                line.front().copied().inspect(|next| next.unpark());
            }
            None => {}
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.in_line.get() {
            self.pause(wait::current_id());
        }
    }
}
