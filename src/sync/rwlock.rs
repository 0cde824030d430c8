//! A lock that many may read at once, which knows who reads it and who writes.
//!
//! Who reads is noted by the readers, each for itself (`wait/shares.rs`), so that reading costs no more than a count.
//! Those who have to wait are served in the order in which they came, from hand to hand: nobody overtakes, so a reader
//! behind a writer waits for that one, which the detector can say.

#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering as Std};
use std::time::{Duration, Instant};

use super::made::Made;
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::{self, Late, late};
use crate::wait::{
    self, Arrival, Awaited, IntoOp, Kind, Object, Op, Providers, Request, Resource, Site, StampCell, TaskId,
    Terms, WaitError,
};

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
        self.lock.look("is locked?").0 != 0
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

/// How a task wants the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    /// To read, and to be the next to write.
    Upgradable,
    Write,
    /// To write what it reads as [`Upgradable`](Self::Upgradable) so far.
    Upgrade,
}

/// The word of the lock: 0, a writer, or how many read; whether one of those is upgradable; whether somebody waits.
#[derive(Clone, Copy)]
struct Word(u64);

/// Set in the word while somebody is in the line.
const WAITED_FOR: u64 = 1 << 63;
/// The word counts readers.
const READ: u64 = 1 << 62;
/// One of the readers is upgradable.
const UPGRADABLE: u64 = 1 << 61;
/// What is left of the word: the count, or the writer. No task's generation comes near the others.
const REST: u64 = UPGRADABLE - 1;

impl Word {
    const fn readers(self) -> u64 {
        if self.0 & READ == 0 { 0 } else { self.0 & REST }
    }

    fn writer(self) -> Option<TaskId> {
        if self.0 & READ == 0 { TaskId::from_word(self.0 & REST) } else { None }
    }

    const fn is_waited_for(self) -> bool {
        self.0 & WAITED_FOR != 0
    }

    /// With one more holder, if that one may hold it beside those who do.
    fn with(self, mode: Mode, task: TaskId) -> Option<Self> {
        let waited_for = self.0 & WAITED_FOR;
        let free = self.0 & !WAITED_FOR == 0;
        let word = match mode {
            Mode::Read if free || self.0 & READ != 0 => (self.0 | READ) + 1,
            Mode::Upgradable if free || self.0 & (READ | UPGRADABLE) == READ => {
                (self.0 | READ | UPGRADABLE) + 1
            }
            Mode::Write if free => waited_for | task.word(),
            Mode::Upgrade if self.readers() == 1 => waited_for | task.word(),
            _ => return None,
        };
        Some(Self(word))
    }

    /// With one holder less.
    const fn without(self, mode: Mode) -> Self {
        let word = match mode {
            Mode::Write | Mode::Upgrade => self.0 & WAITED_FOR,
            Mode::Read => self.0 - 1,
            Mode::Upgradable => (self.0 & !UPGRADABLE) - 1,
        };
        // The last reader takes the mark along.
        Self(if word & REST == 0 { word & WAITED_FOR } else { word })
    }
}

/// What the lock consists of.
struct Lock {
    word: AtomicU64,
    /// The upgradable reader, or 0.
    upgradable: AtomicU64,
    /// Those who wait, in the order in which they are served.
    line: platform::Mutex<VecDeque<(TaskId, Mode)>>,
    made: Made,
    object: Object,
    /// What had happened when it was last written, and when it was read since.
    written: StampCell,
    read: StampCell,
}

impl Lock {
    platform::const_fn! {
        /// A free one.
        fn made(made: Op, object: Object) -> Self {
            Self {
                word: AtomicU64::new(0),
                upgradable: AtomicU64::new(0),
                line: platform::Mutex::new(VecDeque::new()),
                made: Made::at(made),
                object,
                written: StampCell::never(),
                read: StampCell::never(),
            }
        }
    }

    /// What readers note.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn held(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    fn look(&self, label: &'static str) -> Word {
        self.object.observe();
        self.object.step(Op::unasked(label), Kind::TryLock);
        self.held()
    }

    /// One task's wait for the lock.
    fn turn(&self, mode: Mode) -> Turn<'_> {
        Turn { lock: self, mode, me: wait::current_id(), in_line: AtomicBool::new(false) }
    }

    /// Takes the lock, waiting for it if need be.
    fn acquire(&self, mode: Mode, op: Op, terms: Terms) -> Result<(), WaitError> {
        let turn = self.turn(mode);
        self.object.arrive(op, mode.arrives(), &turn)?;
        if !self.take(mode, turn.me) {
            let request = Request { arrival: Arrival::Made, terms, ..Request::new(&turn, op) };
            wait::door(request, |inside| inside.until(&turn))?;
        }
        self.is_taken(mode, op);
        Ok(())
    }

    #[inline]
    #[track_caller]
    fn acquire_surely(&self, mode: Mode, op: Op) {
        if wait::is_explored() || !self.take(mode, wait::current_id()) {
            return wait::insist(|terms| self.acquire(mode, op, terms));
        }
        if mode != Mode::Read {
            self.made.is_taken(op);
        }
    }

    fn try_acquire(&self, mode: Mode, op: Op) -> bool {
        self.object.observe();
        self.object.step(op, mode.tries());
        let taken = self.take(mode, wait::current_id());
        if taken {
            self.is_taken(mode, op);
        }
        taken
    }

    /// Takes the lock if that can be within this time; in an exploration see `Mutex`.
    fn acquire_within(&self, mode: Mode, op: Op, timeout: Duration) -> bool {
        if wait::timeouts_any_time() == Some(true) {
            return self.try_acquire(mode, op);
        }
        let turn = self.turn(mode);
        let taken = self.object.arrive(op, mode.arrives(), &turn).is_ok()
            && (self.take(mode, turn.me) || {
                let request = Request { arrival: Arrival::Made, timed: true, ..Request::new(&turn, op) };
                let came =
                    wait::door(request, |inside| inside.until_timeout(&turn, self.object, Some(timeout)));
                matches!(came, Ok(Some(())))
            });
        if taken {
            self.is_taken(mode, op);
        }
        taken
    }

    /// Takes the lock if nobody waits and the mode allows it.
    #[inline]
    fn take(&self, mode: Mode, me: TaskId) -> bool {
        let mut held = Word(self.word.load(Ordering::Relaxed));
        // Who upgrades has the lock already, and is ahead of all who wait.
        while mode == Mode::Upgrade || !held.is_waited_for() {
            let Some(more) = held.with(mode, me) else { return false };
            let taken = self.word.compare_exchange_weak(held.0, more.0, Ordering::Acquire, Ordering::Relaxed);
            match taken {
                Ok(_) => {
                    self.note(mode, me);
                    return true;
                }
                Err(changed) => held = Word(changed),
            }
        }
        false
    }

    /// `task` holds the lock now.
    #[inline]
    fn note(&self, mode: Mode, task: TaskId) {
        match mode {
            Mode::Read => wait::share(task, self.address()),
            Mode::Upgradable => {
                wait::share(task, self.address());
                self.upgradable.store(task.word(), Ordering::Release);
            }
            Mode::Upgrade => self.unnote(Mode::Upgradable, task),
            Mode::Write => {}
        }
    }

    /// `task` is about to give the lock back.
    #[inline]
    fn unnote(&self, mode: Mode, task: TaskId) {
        if mode == Mode::Upgradable {
            self.upgradable.store(0, Ordering::Release);
        }
        if matches!(mode, Mode::Read | Mode::Upgradable) {
            wait::unshare(task, self.address());
        }
    }

    #[inline]
    fn is_taken(&self, mode: Mode, op: Op) {
        // Readers write nothing that they would fight for.
        if mode != Mode::Read {
            self.made.is_taken(op);
        }
        self.written.witness();
        if matches!(mode, Mode::Write | Mode::Upgrade) {
            self.read.witness();
        }
    }

    /// Gives the lock back. The caller holds it in this mode.
    #[inline]
    fn release(&self, mode: Mode) {
        if wait::is_explored() {
            self.object.step(Op::unasked("unlock"), Kind::Unlock);
            if mode == Mode::Write { self.written.set_here() } else { self.read.add_here() }
        }
        self.unnote(mode, wait::current_id());
        let mut held = Word(self.word.load(Ordering::Relaxed));
        while !held.is_waited_for() {
            let less = held.without(mode);
            let given = self.word.compare_exchange_weak(held.0, less.0, Ordering::Release, Ordering::Relaxed);
            match given {
                Ok(_) => return,
                Err(changed) => held = Word(changed),
            }
        }
        self.serve_line(|held| held.without(mode));
    }

    /// The holder goes on in a weaker mode.
    fn becomes(&self, from: Mode, to: Mode) {
        self.object.step(Op::unasked("downgrade"), Kind::Unlock);
        if from == Mode::Write {
            self.written.set_here()
        } else {
            self.read.add_here()
        }
        let me = wait::current_id();
        self.unnote(from, me);
        self.serve_line(|held| {
            held.without(from).with(to, me).expect("a weaker mode fits where a stronger did")
        });
        self.note(to, me);
    }

    /// Changes the word, and gives the lock to all whose turn it is then.
    #[cold]
    fn serve_line(&self, change: impl Fn(Word) -> Word) {
        let mut line = self.line.lock();
        let mut held = Word(self.word.load(Ordering::Relaxed));
        let mut served = Vec::new();
        loop {
            let mut next = change(held);
            served.clear();
            for (task, mode) in &*line {
                let Some(more) = next.with(*mode, *task) else { break };
                next = more;
                served.push((*task, *mode));
            }
            if served.len() == line.len() {
                next.0 &= !WAITED_FOR;
            }
            let changed =
                self.word.compare_exchange_weak(held.0, next.0, Ordering::AcqRel, Ordering::Relaxed);
            match changed {
                Ok(_) => break,
                Err(word) => held = Word(word),
            }
        }
        for (task, mode) in line.drain(..served.len()) {
            self.note(mode, task);
        }
        drop(line);
        served.into_iter().for_each(|(task, _)| task.unpark());
    }
}

impl Drop for Lock {
    /// Guards that were forgotten must not make their tasks hold the next lock of this address.
    fn drop(&mut self) {
        let held = self.held();
        if held.readers() > 0 {
            wait::forget(self.address());
        }
    }
}

impl Mode {
    const fn arrives(self) -> Kind {
        if matches!(self, Self::Read) { Kind::Read } else { Kind::Lock }
    }

    const fn tries(self) -> Kind {
        if matches!(self, Self::Read) { Kind::TryRead } else { Kind::TryLock }
    }

    /// Whether two may not hold the lock at once.
    const fn excludes(self, other: Self) -> bool {
        !matches!((self, other), (Self::Read, Self::Read | Self::Upgradable) | (Self::Upgradable, Self::Read))
    }
}

/// One task's wait for the lock.
struct Turn<'a> {
    lock: &'a Lock,
    mode: Mode,
    me: TaskId,
    in_line: AtomicBool,
}

impl Resource for Turn<'_> {
    /// Whoever holds the lock so that the two exclude each other, and whoever is ahead in the line and so too.
    fn providers(&self) -> Providers {
        let Self { lock, mode, me, .. } = *self;
        let line = lock.line.lock();
        // What it has been given it does not wait for, whether it knows that or not.
        if self.in_line.load(Std::Relaxed) && line.iter().all(|(task, _)| *task != me) {
            return Providers::Open;
        }
        let ahead = line.iter().take_while(|(task, _)| *task != me);
        let ahead = ahead.filter(|(_, other)| mode.excludes(*other)).map(|(task, _)| *task);
        let mut providers: Vec<_> = if mode == Mode::Upgrade { Vec::new() } else { ahead.collect() };
        let held = lock.held();
        providers.extend(held.writer());
        match mode {
            Mode::Write => providers.extend(wait::sharers(lock.address())),
            Mode::Upgrade => {
                providers.extend(wait::sharers(lock.address()).into_iter().filter(|task| *task != me))
            }
            Mode::Upgradable => providers.extend(TaskId::from_word(lock.upgradable.load(Ordering::Acquire))),
            Mode::Read => {}
        }
        Providers::All(providers)
    }

    fn name(&self) -> String {
        self.lock.made.name("lock")
    }

    fn taken(&self) -> Option<Site> {
        self.lock.made.taken()
    }
}

impl Awaited for Turn<'_> {
    type Value = ();

    fn poll(&self, waiter: TaskId) -> Option<()> {
        let lock = self.lock;
        let mut line = lock.line.lock();
        if line.iter().any(|(task, _)| *task == waiter) {
            return None;
        }
        if self.in_line.swap(false, Std::Relaxed) {
            return Some(());
        }
        // From here on whoever unlocks comes for the line.
        let before = Word(lock.word.fetch_or(WAITED_FOR, Ordering::Relaxed));
        let mut held = Word(before.0 | WAITED_FOR);
        while line.is_empty() || self.mode == Mode::Upgrade {
            let Some(mut more) = held.with(self.mode, waiter) else { break };
            if line.is_empty() {
                more.0 &= !WAITED_FOR;
            }
            match lock.word.compare_exchange(held.0, more.0, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    lock.note(self.mode, waiter);
                    return Some(());
                }
                Err(word) => held = Word(word),
            }
        }
        match self.mode {
            Mode::Upgrade => line.push_front((waiter, self.mode)),
            _ => line.push_back((waiter, self.mode)),
        }
        self.in_line.store(true, Std::Relaxed);
        None
    }

    fn is_ready(&self) -> bool {
        !self.in_line.load(Std::Relaxed) && self.lock.held().with(self.mode, self.me).is_some()
    }

    fn object(&self) -> Object {
        self.lock.object
    }

    fn look(&self) -> Kind {
        self.mode.arrives()
    }

    /// Whoever does not wait for the lock leaves the line; and gives it back if it was given meanwhile.
    fn pause(&self, waiter: TaskId) {
        if !self.in_line.swap(false, Std::Relaxed) {
            return;
        }
        let mut line = self.lock.line.lock();
        match line.iter().position(|(task, _)| *task == waiter) {
            Some(place) => {
                line.remove(place);
                drop(line);
                // Those behind it may have waited for it alone.
                self.lock.serve_line(|held| held);
            }
            None => {
                drop(line);
                self.lock.give_up(self.mode);
            }
        }
    }
}

impl Lock {
    /// Gives back what was given to the calling task, which does not want it any more. Whoever wanted to upgrade has
    /// what it had before.
    fn give_up(&self, mode: Mode) {
        match mode {
            Mode::Upgrade => self.becomes(Mode::Write, Mode::Upgradable),
            mode => self.release(mode),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pause(self.me);
    }
}
