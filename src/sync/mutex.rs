//! A lock that knows who holds it.
//!
//! The holder is the lock: one word is 0, or the task that holds it and whether somebody waits. So who provides the
//! lock and whether it is taken can never be told apart, and a wait for it is a wait like any other, which a
//! cancelled run leaves.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::{self, Bug, UnsafeCell, seeded};
use crate::wait::{
    self, Arrival, Awaited, IntoOp, Kind, Object, Op, Request, Resource, StampCell, TaskId, WaitError,
};

/// A mutual exclusion lock whose waits are seen by the detector.
///
/// ```
/// # fn main() -> Result<(), impasse::WaitError> {
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
    /// The task that holds it, or 0; and [`WAITED_FOR`].
    word: AtomicU64,
    /// Those who wait, longest first.
    line: platform::Mutex<VecDeque<TaskId>>,
    /// Its label, or none, and the line that made it.
    made: Op,
    object: Object,
    /// What had happened when it was last unlocked.
    unlocked: StampCell,
}

/// Set in the word while somebody is in the line. No task's generation comes near it.
const WAITED_FOR: u64 = 1 << 63;

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
            word: AtomicU64::new(0),
            line: platform::Mutex::new(VecDeque::new()),
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
    /// [`WaitError::Deadlock`] if the wait would never end: the holder waits, directly or through others, for this
    /// task, or this task holds the lock itself. [`WaitError::Cancelled`] if the task has to wait and acts on behalf
    /// of a run that is cancelled.
    ///
    /// # Blocking
    ///
    /// Until the holder unlocks; the edge of the wait-for graph leads to the holder. On an owner thread it is
    /// allowed under every policy; under `Serve` the jobs that the holder waits for are run meanwhile.
    #[track_caller]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, WaitError> {
        let (lock, op) = (&self.lock, "lock".into_op());
        let me = wait::current().id;
        lock.object.arrive(op, Kind::Lock, lock)?;
        if !lock.take(0, me) {
            let request = Request { arrival: Arrival::Made, ..Request::new(lock, op) };
            wait::door(request, |inside| inside.until(&Turn { lock, in_line: Cell::new(false) }))?;
        }
        Ok(self.held())
    }

    /// Takes the lock if it is free.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.lock.object.observe();
        self.lock.object.step("try_lock".into_op(), Kind::TryLock);
        self.lock.take(0, wait::current().id).then(|| self.held())
    }

    /// The lock has just been taken.
    fn held(&self) -> MutexGuard<'_, T> {
        self.lock.unlocked.witness();
        MutexGuard { mutex: self, _here: PhantomData }
    }
}

impl Lock {
    /// Takes the lock if it is free; the word is thought to be `now`.
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

    /// Gives the lock back.
    ///
    /// # Safety
    ///
    /// The caller holds the lock, and gives it up by this.
    unsafe fn unlock(&self) {
        self.object.step(Op::unasked("unlock"), Kind::Unlock);
        self.unlocked.set_here();
        let now = self.word.load(Ordering::Relaxed);
        if now & WAITED_FOR != 0
            || self.word.compare_exchange(now, 0, Ordering::Release, Ordering::Relaxed).is_err()
        {
            self.call_next();
        }
    }

    /// Gives the lock back and wakes whoever waits longest. Inside an exploration the lock goes from hand to hand,
    /// in the order of arrival, since the arrival is the step: that some other task could overtake between two
    /// hands adds no outcome, since that task could have arrived first.
    fn call_next(&self) {
        let mut line = self.line.lock();
        let next = line.pop_front();
        let waited_for = if line.is_empty() { 0 } else { WAITED_FOR };
        let holder = next.filter(|_| wait::is_explored()).map_or(0, TaskId::word);
        self.word.store(holder | waited_for, Ordering::Release);
        drop(line);
        next.into_iter().for_each(TaskId::unpark);
    }
}

impl Resource for Lock {
    fn provider(&self) -> Option<TaskId> {
        TaskId::from_word(self.word.load(Ordering::Acquire) & !WAITED_FOR)
    }

    fn name(&self) -> String {
        match self.made.label {
            "" => format!("the lock made at {}", self.made.site()),
            label => format!("lock `{label}`"),
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
        let given = was_called && wait::is_explored() && lock.provider() == Some(waiter);
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
        self.lock.provider().is_none()
    }

    fn object(&self) -> Object {
        self.lock.object
    }

    /// Whoever does not wait for the lock leaves the line; and one who was called has somebody else called.
    fn pause(&self, waiter: TaskId) {
        if !self.in_line.replace(false) || seeded(Bug::StaysInLine) {
            return;
        }
        let mut line = self.lock.line.lock();
        match line.iter().position(|task| *task == waiter) {
            Some(place) => drop(line.remove(place)),
            None if self.lock.provider().is_none() => {
                line.front().copied().inspect(|next| next.unpark());
            }
            None => {}
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.in_line.get() {
            self.pause(wait::current().id);
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
