//! The word, and the line of those who wait.

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::Duration;

use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::{self, Bug, seeded};
use crate::sync::made::Made;
use crate::wait::{
    self, Arrival, Awaited, Hold, Kind, Object, Op, Providers, Request, Resource, Site, StampCell, TaskId,
    Terms, WaitError,
};

/// The task of a word.
#[inline(always)]
fn holder_of(word: u64) -> Option<TaskId> {
    TaskId::from_word(word & !WAITED_FOR)
}

/// What the lock consists of. The word comes last, beside the value: whoever takes the lock needs both, and where tasks
/// fight for it they would fight for two cache lines.
#[repr(C)]
pub(super) struct Lock {
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
        pub(super) fn made(made: Op, object: Object) -> Self {
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
    pub(super) fn acquire(&self, op: Op) -> Result<(), WaitError> {
        if self.take_at_once(op) { Ok(()) } else { self.arrive(op, Terms::Fallible) }
    }

    /// The same, by whatever it takes: see [`wait::insist`].
    #[inline(always)]
    #[track_caller]
    pub(super) fn acquire_surely(&self, op: Op) {
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
    pub(super) fn take_at_once(&self, op: Op) -> bool {
        let me = wait::current_id();
        let taken = !wait::is_explored() && (self.take(0, me) || self.take_soon(me));
        if taken {
            wait::hold(Hold::alone(self), op);
        }
        taken
    }

    #[cold]
    pub(super) fn arrive(&self, op: Op, terms: Terms) -> Result<(), WaitError> {
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

    pub(super) fn try_acquire(&self, op: Op) -> bool {
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
    pub(super) fn acquire_within(&self, op: Op, timeout: Duration) -> bool {
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
        wait::hold(Hold::alone(self), op);
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

    pub(super) fn is_locked(&self) -> bool {
        self.object.observe();
        self.object.step(Op::unasked("is locked?"), Kind::TryLock);
        self.holder().is_some()
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
    pub(super) unsafe fn release(&self) {
        if wait::is_explored() {
            self.released();
        }
        let me = wait::current_id();
        wait::unhold(Hold::alone(self));
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
            wait::unhold_by_another(Hold::alone(self));
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
        wait::line_of(Hold::alone(self), by)
    }
}

impl Drop for Lock {
    /// A guard that was forgotten must not leave a note for ever.
    fn drop(&mut self) {
        if platform::KEEPS_LINES && self.word.load(Ordering::Relaxed) != 0 {
            wait::forget(Hold::alone(self));
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
