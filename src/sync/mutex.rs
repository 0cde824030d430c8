//! A lock that knows who holds it.

#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::{RawLock, UnsafeCell};
use crate::wait::{
    self, Arrival, Awaited, Deadlock, Inside, IntoOp, Kind, Object, Op, Request, Resource, StampCell, TaskId,
};

/// A mutual exclusion lock whose waits are seen by the detector.
///
/// ```
/// # fn main() -> Result<(), impasse::Deadlock> {
/// let balance = impasse::sync::Mutex::named("balance", 100);
/// *balance.lock()? -= 10;
/// assert!(balance.lock().is_ok());
/// # Ok(())
/// # }
/// ```
pub struct Mutex<T> {
    lock: Lock,
    value: UnsafeCell<T>,
}

/// The lock without the value.
struct Lock {
    raw: RawLock,
    /// The task that holds it, as a word; 0 if nobody does.
    holder: AtomicU64,
    /// Its label, or none, and the line that made it.
    made: Op,
    object: Object,
    /// What had happened when it was last unlocked.
    unlocked: StampCell,
}

// SAFETY: the value is reached through a guard only, and the raw lock gives out one at a time.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: nothing in it belongs to a thread; the value goes along.
unsafe impl<T: Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    /// A free lock around `value`. Reports call it by this line.
    #[track_caller]
    pub fn new(value: T) -> Self {
        Self::named("", value)
    }

    /// A free lock around `value` that reports call `label`.
    #[track_caller]
    pub fn named(label: &'static str, value: T) -> Self {
        let lock = Lock {
            raw: RawLock::new(),
            holder: AtomicU64::new(0),
            made: label.into_op(),
            object: Object::new(),
            unlocked: StampCell::default(),
        };
        Self { lock, value: UnsafeCell::new(value) }
    }

    /// Takes the lock, waiting for it if another task holds it.
    ///
    /// # Errors
    ///
    /// [`Deadlock`] if the wait would never end: the holder waits, directly or through others, for this task,
    /// or this task holds the lock itself.
    ///
    /// # Blocking
    ///
    /// Until the holder unlocks; the edge of the wait-for graph leads to the holder. On an owner thread it is
    /// allowed under every policy; under `Serve` nothing is served meanwhile.
    #[track_caller]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, Deadlock> {
        let (lock, op) = (&self.lock, "lock".into_op());
        lock.object.arrive(op, Kind::Lock, lock)?;
        if !lock.raw.try_lock() {
            let request = Request { can_serve: false, arrival: Arrival::Made, ..Request::new(lock, op) };
            wait::door(request, |inside| lock.wait(inside))?;
        }
        Ok(self.held())
    }

    /// Takes the lock if it is free.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.lock.object.observe();
        self.lock.object.step("try_lock".into_op(), Kind::TryLock);
        self.lock.raw.try_lock().then(|| self.held())
    }

    /// The lock has just been taken.
    fn held(&self) -> MutexGuard<'_, T> {
        // Relaxed: it orders nothing by itself. Before this task can be seen to wait it fences in the door.
        self.lock.holder.store(wait::current().id.word(), Ordering::Relaxed);
        self.lock.unlocked.witness();
        MutexGuard { mutex: self, _here: PhantomData }
    }
}

impl Lock {
    fn wait(&self, inside: &Inside<'_>) -> Result<(), Deadlock> {
        if wait::is_explored() {
            return inside.until(&HandedOver(self));
        }
        self.raw.lock();
        Ok(())
    }

    /// Gives the lock back, or to whoever waits longest.
    ///
    /// # Safety
    ///
    /// The caller holds the lock, and gives it up by this.
    unsafe fn unlock(&self) {
        self.object.step(Op::unasked("unlock"), Kind::Unlock);
        self.unlocked.set_here();
        if let Some(next) = self.object.next_in_line() {
            self.holder.store(next.word(), Ordering::Relaxed);
            return next.unpark();
        }
        // Before the unlock: after it, this would wipe out the next holder.
        self.holder.store(0, Ordering::Relaxed);
        // SAFETY: the caller's contract is this function's.
        unsafe { self.raw.unlock() }
    }
}

/// A lock that goes from hand to hand, in the order of arrival: how it is waited for in an exploration, where
/// the arrival is the step. That some other task could overtake between two hands adds no outcome, since that
/// task could have arrived first.
struct HandedOver<'a>(&'a Lock);

impl Awaited for HandedOver<'_> {
    type Value = ();

    fn poll(&self, waiter: TaskId) -> Option<()> {
        if self.0.provider() == Some(waiter) {
            return Some(());
        }
        self.0.object.line_up(waiter);
        None
    }

    fn object(&self) -> Object {
        self.0.object
    }
}

impl Resource for Lock {
    fn provider(&self) -> Option<TaskId> {
        TaskId::from_word(self.holder.load(Ordering::Acquire))
    }

    fn name(&self) -> String {
        match self.made.label {
            "" => format!("the lock made at {}", self.made.site),
            label => format!("lock `{label}`"),
        }
    }
}

/// The right to the value of a [`Mutex`]; unlocks when dropped. It stays on its thread.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    _here: PhantomData<*const ()>,
}

impl<'a, T> MutexGuard<'a, T> {
    /// The lock that it is of.
    pub(super) fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }
}

// SAFETY: shared, it gives out `&T` and nothing else.
unsafe impl<T: Sync> Sync for MutexGuard<'_, T> {}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock, so nobody writes while it is borrowed.
        self.mutex.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock and is borrowed uniquely.
        self.mutex.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the guard holds the lock and is gone after this.
        unsafe { self.mutex.lock.unlock() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Mutex");
        shown.field("label", &self.lock.made.label);
        match self.try_lock() {
            Some(value) => shown.field("value", &*value),
            None => shown.field("value", &format_args!("<locked>")),
        };
        shown.finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
