//! How an explorer takes the door over.
//!
//! Inside an exploration (`src/explore/`) every task is a coroutine, and this thread's scheduler decides who
//! goes on. Production code says three things to it, and nothing at all when there is none:
//!
//! - a **step**: "I am about to do this to that object". Who goes first is the scheduler's choice, made here.
//! - a **wait or a wake**: park, unpark and spawn are the scheduler's.
//! - a **stamp**: what happened before a value was handed over has happened for whoever takes it.
//!
//! Without the feature `explore` there is never a scheduler: the types here are empty and the calls compile to
//! nothing.

#![allow(unsafe_code)]
// Without the feature nobody asks.
#![cfg_attr(not(feature = "explore"), allow(dead_code))]

#[cfg(feature = "explore")]
use std::{cell::Cell, ptr::NonNull};

use std::marker::PhantomData;
use std::time::Duration;

use super::cancel::{Cancelled, WaitError};
use super::deadlock::Deadlock;
use super::op::Op;
use super::resource::Resource;
use super::task::{self, Local, Manner, TaskId};
use crate::platform;

/// What a step does to an object. Which of them depend on each other is the explorer's matter: see the table in
/// `src/explore/dependence.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub(crate) enum Kind {
    /// A job goes to the end of a mailbox, if it is not closed.
    Post,
    /// The same, if there is room.
    TryPost,
    /// A promised job goes to the end of a mailbox, closed or not.
    Keep,
    /// A job is promised to a mailbox, if it is not closed.
    Owe,
    /// A mailbox accepts nothing more.
    Close,
    /// The same, and what it holds is refused.
    CloseNow,
    /// Whether a mailbox is closed.
    IsClosed,
    /// How many jobs a mailbox holds.
    Len,
    /// Waits until a mailbox has nothing to do.
    Idle,
    /// The owner takes its next job, or finds none.
    Take,
    /// An item goes into a queue, or to whoever waits longest for one.
    Push,
    /// Takes an item of a queue, or a place among those who wait for one.
    Pop,
    /// Takes an item of a queue if there is one.
    TryPop,
    /// Takes a lock, or a place among those who wait for it.
    Lock,
    /// Takes a lock if it is free.
    TryLock,
    /// Takes a lock together with others, or a place among those who wait for it.
    Read,
    /// Takes a lock together with others if that can be.
    TryRead,
    /// Gives a lock to whoever waits longest, or back.
    Unlock,
    /// The waits on behalf of a run are ended.
    Cancel,
    /// A value arrives.
    Settle,
    /// Somebody looks whether a value has arrived, and does something else if not.
    Look,
    /// A place among those who wait to be notified.
    Await,
    /// Wakes some of those.
    Notify,
    /// Reads an atomic.
    Load,
    /// Writes an atomic, or reads and writes it.
    Store,
}

/// The mark in the name of an object by which this kind of touch is no step: nobody can tell when it happens. Nothing, if
/// that is always asked. (Only what cannot be repeated for ever without a touch of another kind, or another object.)
#[inline(always)]
pub(crate) const fn quiet(kind: Kind) -> u64 {
    match kind {
        Kind::Settle => 1 << 63,
        Kind::Take => 1 << 62,
        Kind::Unlock => 1 << 61,
        _ => 0,
    }
}

/// The part of a name that says in which execution the object was made.
pub(crate) const EXECUTION: u64 = 0x1fff_ffff << 32;

/// A step's touch on one object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) object: u64,
    pub(crate) kind: Kind,
}

/// What a task is about to do.
pub(crate) struct Step<'a> {
    /// The words for it.
    pub(crate) op: Op,
    /// To what; nothing for a step that only waits.
    pub(crate) access: Option<Access>,
    /// What the task will wait for, if it has to.
    pub(crate) towards: Option<&'a dyn Resource>,
}

/// When the calling task goes on: now, or once others have.
///
/// Whoever asked waits for it in a frame of its own, and not somewhere below the scheduler: a function that was called
/// before a switch of stacks returns after it to where the processor does not expect, and that takes as long as some
/// fifty instructions.
///
/// What the task will wait for stays where it is until then: others look at it meanwhile.
#[must_use = "the task goes on when it is its turn"]
pub(crate) struct Turn<'a> {
    /// How the task goes on, if it does so now.
    goes: Goes,
    /// When the coroutine of this is resumed, which is told how.
    #[cfg(feature = "explore")]
    resumed: Option<NonNull<Yielder>>,
    waits: PhantomData<&'a dyn Resource>,
}

/// How a task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goes {
    On,
    /// Everything is coming to an end: a wait that can fail is refused.
    ToItsEnd,
}

/// With which a coroutine leaves its thread to the scheduler.
#[cfg(feature = "explore")]
pub(crate) type Yielder = corosensei::Yielder<Goes, ()>;

impl Turn<'_> {
    #[cfg(feature = "explore")]
    pub(crate) const fn now(goes: Goes) -> Self {
        Self { goes, resumed: None, waits: PhantomData }
    }

    /// When the coroutine of this, which asks, is resumed.
    ///
    /// # Safety
    ///
    /// It lives for as long as that coroutine.
    #[cfg(feature = "explore")]
    pub(crate) const unsafe fn when_resumed(yielder: NonNull<Yielder>) -> Self {
        Self { goes: Goes::On, resumed: Some(yielder), waits: PhantomData }
    }

    /// Returns when it is the calling task's turn.
    #[inline(always)]
    pub(crate) fn wait(self) -> Goes {
        #[cfg(feature = "explore")]
        if let Some(yielder) = self.resumed {
            // SAFETY: of the coroutine that runs this.
            return unsafe { yielder.as_ref() }.suspend(());
        }
        self.goes
    }
}

/// Decides who goes on. Implemented by the explorer.
pub(crate) trait Scheduler {
    /// A name for a new object: the same in every execution in which the same task makes it, but for the marks of what
    /// is known to be [`quiet`].
    fn name(&self) -> u64;
    /// Whether everything is coming to an end: a wait that can fail is refused.
    fn is_ending(&self) -> bool;
    /// Whether somebody may tell when the calling task does this, and waits for nothing: else it is no step. Most are
    /// none, and so that is asked before the words for it are put together.
    fn is_seen(&self, access: Access) -> bool;
    /// When it is the calling task's turn to take the step.
    fn step<'a>(&self, step: &Step<'a>) -> Turn<'a>;
    /// Somebody can see when something happens to this object: from now on, steps on it that would not have been
    /// one are; and if it looks at another object by the same look (0 if not), they are steps on that one.
    fn observe(&self, object: u64, with: u64);
    /// A wait at `object` is ended by what happens to `cancel`, if anything does: then they are one object from now
    /// on. Says whether anything does.
    fn is_ended_by(&self, cancel: u64, object: u64) -> bool;
    /// When the calling task is unparked.
    fn park(&self) -> Turn<'static>;
    /// The time since the execution began.
    fn now(&self) -> Duration;
    /// Whether the calling task unwinds.
    fn is_unwinding(&self) -> bool;
    /// Whether a timed wait may end by time at any moment, or only when nothing else can happen.
    fn timeouts_any_time(&self) -> bool;
    /// Whether a wait for a condition may end for no reason.
    fn wakes_spuriously(&self) -> bool;
    /// Blocks the calling task until it is unparked, or until nothing else can happen and its time comes first;
    /// says whether the latter.
    fn park_timeout(&self, timeout: Duration) -> bool;
    /// When the others have gone first, if it can be told.
    fn yield_now(&self) -> Turn<'static>;
    /// The number of a task of this execution: the same in every execution in which the same task starts it.
    fn number(&self, task: TaskId) -> Option<u32>;
    /// Wakes a task, or lets its next park pass.
    fn unpark(&self, task: TaskId);
    /// Starts a task.
    fn spawn(&self, task: TaskId, body: Box<dyn FnOnce() + Send>);
    /// The calling coroutine is this task from now on; returns the one it was.
    fn become_task(&self, task: TaskId) -> TaskId;
    /// What has happened for the calling task until now, and in `earlier`, which is something else.
    fn stamp(&self, earlier: u32) -> u32;
    /// All that has happened for the calling task from now on.
    fn witness(&self, stamp: u32);
    /// The calling task's step would have completed a cycle of these tasks' waits.
    fn closes(&self, cycle: &mut dyn Iterator<Item = TaskId>);
    /// The calling task's step gave this owner, which serves, work that it did not have.
    fn needs(&self, owner: TaskId);
    /// A deadlock is also a matter of something that is no arrival: not every order of that is explored.
    fn is_unordered(&self);
    /// A deadlock was found: returned to the calling task as an error, or else nobody will be told.
    fn deadlock(&self, deadlock: &Deadlock, returned: bool);
}

#[cfg(feature = "explore")]
thread_local! {
    static ACTIVE: Cell<Option<NonNull<dyn Scheduler>>> = const { Cell::new(None) };
    /// Where the scheduler keeps what has happened for the task that runs.
    static HAPPENED: Cell<Option<NonNull<Cell<u32>>>> = const { Cell::new(None) };
    /// Which execution goes on, as in the names of its objects.
    static GOES_ON: Cell<u64> = const { Cell::new(0) };
}

/// Asks this thread's scheduler, if there is one.
#[cfg(feature = "explore")]
#[inline]
fn ask<R>(question: impl FnOnce(&dyn Scheduler) -> R) -> Option<R> {
    let active = ACTIVE.try_with(Cell::get).ok().flatten()?;
    // SAFETY: `while_active` put it there, from a reference that lives until it takes it away again, and the
    // coroutines that ask run only in between.
    Some(question(unsafe { active.as_ref() }))
}

#[cfg(not(feature = "explore"))]
#[inline(always)]
fn ask<R>(_: impl FnOnce(&dyn Scheduler) -> R) -> Option<R> {
    None
}

/// Makes `scheduler` this thread's for as long as `body` runs.
#[cfg(feature = "explore")]
pub(crate) fn while_active<R>(scheduler: &(dyn Scheduler + 'static), body: impl FnOnce() -> R) -> R {
    /// Takes it away again, on unwinding too.
    struct Restore(Option<NonNull<dyn Scheduler>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            ACTIVE.set(self.0);
            HAPPENED.set(None);
            GOES_ON.set(0);
        }
    }
    let _restore = Restore(ACTIVE.replace(Some(scheduler.into())));
    body()
}

/// Objects are named from now on as those of this execution.
#[cfg(feature = "explore")]
pub(crate) fn begins(execution: u64) {
    GOES_ON.set(execution);
}

/// From now on the task runs for which this has happened.
///
/// # Safety
///
/// It lives until another takes its place, or the scheduler is no more active.
#[cfg(feature = "explore")]
#[inline]
pub(crate) unsafe fn goes_on(happened: &Cell<u32>) {
    HAPPENED.set(Some(happened.into()));
}

/// What has happened for the calling task, if it is a coroutine.
#[cfg(feature = "explore")]
#[inline]
fn happened() -> Option<u32> {
    let happened = HAPPENED.try_with(Cell::get).ok().flatten()?;
    // SAFETY: the contract of `goes_on`.
    Some(unsafe { happened.as_ref() }.get())
}

/// Whether this thread's tasks are coroutines of an explorer.
#[inline]
pub(crate) fn is_explored() -> bool {
    ask(|_| ()).is_some()
}

/// The processor that runs the calling task, where that is known. Coroutines are on that of whoever explores.
#[inline]
pub(super) fn processor() -> Option<u32> {
    if is_explored() { None } else { platform::processor() }
}

/// Whether a wait that can fail must.
pub(crate) fn is_ending() -> bool {
    ask(|scheduler| scheduler.is_ending()).unwrap_or(false)
}

/// Takes the step of a wait of `me`, which is the calling task, for `towards`, if it has to wait.
///
/// # Errors
///
/// The execution comes to its end.
#[inline(always)]
pub(super) fn arrive(
    me: &Local,
    op: Op,
    access: Option<Access>,
    towards: &dyn Resource,
) -> Result<(), Cancelled> {
    let goes = ask(|scheduler| {
        let access = ended_by_cancel(scheduler, me, tried(scheduler, me, access));
        scheduler.step(&Step { op, access, towards: Some(towards) }).wait()
    });
    unless_it_ends(goes)
}

/// Whether the execution goes on, for a wait whose step has been taken.
///
/// # Errors
///
/// It comes to its end.
#[inline(always)]
pub(super) fn still_goes_on() -> Result<(), Cancelled> {
    if is_ending() { Err(Cancelled::ended()) } else { Ok(()) }
}

#[inline(always)]
fn unless_it_ends(goes: Option<Goes>) -> Result<(), Cancelled> {
    if goes == Some(Goes::ToItsEnd) { Err(Cancelled::ended()) } else { Ok(()) }
}

/// A task that serves does something else if it has to wait: its arrival is a try, and it looks at its mailbox too.
/// So it is whether it has to wait or not, or nobody would find out that it could.
#[cfg_attr(not(feature = "explore"), allow(unused))]
fn tried(scheduler: &dyn Scheduler, me: &Local, access: Option<Access>) -> Option<Access> {
    let mut access = access?;
    if me.manner.get() == Manner::Serving
        && let Some(server) = &*me.server.borrow()
    {
        let tries = match access.kind {
            Kind::Lock => Kind::TryLock,
            Kind::Read => Kind::TryRead,
            Kind::Push | Kind::Pop => Kind::TryPop,
            other => other,
        };
        if matches!(tries, Kind::TryLock | Kind::TryRead) {
            scheduler.observe(access.object, server.object().name());
        }
        access.kind = tries;
    }
    Some(access)
}

/// A wait on behalf of a run that somebody cancels touches what the cancelling touches.
#[cfg_attr(not(feature = "explore"), allow(unused))]
fn ended_by_cancel(scheduler: &dyn Scheduler, me: &Local, mut access: Option<Access>) -> Option<Access> {
    me.behalf.each_cancel(|cancel| {
        let cancel = cancel.object.name();
        if scheduler.is_ended_by(cancel, access.map_or(cancel, |access| access.object)) {
            access = access.or(Some(Access { object: cancel, kind: Kind::Look }));
        }
    });
    access
}

/// The time since the execution began; none outside of an exploration.
pub(crate) fn virtual_now() -> Option<Duration> {
    ask(|scheduler| scheduler.now())
}

/// Blocks the calling task, if it is a coroutine; `None` if it is a thread.
#[inline(always)]
pub(super) fn park() -> Option<Result<(), Cancelled>> {
    ask(|scheduler| unless_it_ends(Some(scheduler.park().wait())))
}

/// Whether a timed wait of this coroutine may end at any moment; `None` if it is a thread.
pub(crate) fn timeouts_any_time() -> Option<bool> {
    ask(|scheduler| scheduler.timeouts_any_time())
}

/// Whether the coroutine unwinds; `None` if it is a thread.
pub(super) fn is_unwinding() -> Option<bool> {
    ask(|scheduler| scheduler.is_unwinding())
}

/// Whether a wait for a condition may end for no reason: an option of the explorer.
pub(crate) fn wakes_spuriously() -> bool {
    ask(|scheduler| scheduler.wakes_spuriously()).unwrap_or(false)
}

/// Blocks the calling task for at most this long, if it is a coroutine; says whether the time was up.
pub(super) fn park_timeout(timeout: Duration) -> Option<bool> {
    ask(|scheduler| scheduler.park_timeout(timeout))
}

/// Lets other coroutines go first, if tasks are coroutines.
pub(crate) fn yield_now() -> bool {
    ask(|scheduler| scheduler.yield_now().wait()).is_some()
}

/// The place of a task among those of the same world: an execution of an explorer, or outside of all of them. There
/// is none for others.
pub(super) fn place(task: TaskId, is_coroutine: bool) -> Option<u32> {
    ask(|scheduler| scheduler.number(task)).unwrap_or((!is_coroutine).then(|| task.index()))
}

/// Wakes a coroutine, if tasks are coroutines.
pub(super) fn unpark(task: TaskId) -> bool {
    ask(|scheduler| scheduler.unpark(task)).is_some()
}

/// Starts a coroutine, if tasks are coroutines; gives the body back if not.
pub(super) fn spawn<F: FnOnce() + Send + 'static>(task: TaskId, body: F) -> Result<(), F> {
    if !is_explored() {
        return Err(body);
    }
    let body = Box::new(body);
    ask(|scheduler| scheduler.spawn(task, body));
    Ok(())
}

/// The calling coroutine is this task from now on; returns the one it was.
pub(super) fn become_task(task: TaskId) -> Option<TaskId> {
    ask(|scheduler| scheduler.become_task(task))
}

/// See [`Scheduler::closes`].
pub(super) fn closes(mut cycle: impl Iterator<Item = TaskId>) {
    ask(|scheduler| scheduler.closes(&mut cycle));
}

/// See [`Scheduler::needs`].
pub(super) fn needs(owner: TaskId) {
    ask(|scheduler| scheduler.needs(owner));
}

/// See [`Scheduler::is_unordered`].
pub(super) fn is_unordered() {
    ask(|scheduler| scheduler.is_unordered());
}

/// See [`Scheduler::deadlock`].
pub(super) fn deadlock(deadlock: &Deadlock, returned: bool) {
    ask(|scheduler| scheduler.deadlock(deadlock, returned));
}

/// The name of something that several tasks touch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object(#[cfg(feature = "explore")] u64);

impl Object {
    /// Made outside of every exploration.
    pub(crate) const NONE: Self = Self(
        #[cfg(feature = "explore")]
        0,
    );

    /// Named by the task that makes it. Made outside of an exploration it has no name.
    pub(crate) fn new() -> Self {
        Self(
            #[cfg(feature = "explore")]
            ask(|scheduler| scheduler.name()).unwrap_or(0),
        )
    }

    /// That kind of touch on this object.
    pub(crate) fn access(self, kind: Kind) -> Access {
        Access { object: self.name(), kind }
    }

    /// Takes a step that is not the arrival of a wait; says whether it was one, for somebody may tell when.
    #[inline(always)]
    pub(crate) fn step(self, op: Op, kind: Kind) -> bool {
        if self.is_quiet(kind) {
            return false;
        }
        let is_seen = ask(|scheduler| {
            let access = self.access(kind);
            let is_seen = scheduler.is_seen(access);
            if is_seen {
                scheduler.step(&Step { op, access: Some(access), towards: None }).wait();
            }
            is_seen
        });
        is_seen == Some(true)
    }

    /// Takes the step of a wait for `towards`, if it has to wait.
    ///
    /// # Errors
    ///
    /// The execution comes to its end.
    pub(crate) fn arrive(self, op: Op, kind: Kind, towards: &dyn Resource) -> Result<(), WaitError> {
        let arrived = ask(|_| arrive(&task::current(), op, Some(self.access(kind)), towards));
        Ok(arrived.unwrap_or(Ok(()))?)
    }

    /// What happens to `cancel` is seen by whoever looks at this: see [`Scheduler::is_ended_by`].
    pub(super) fn is_ended_by(self, cancel: Self) {
        ask(|scheduler| scheduler.is_ended_by(cancel.name(), self.name()));
    }

    /// The calling task can tell the order of what it does next from that of others: from now on, steps on
    /// this object that would not have been one are.
    pub(crate) fn observe(self) {
        ask(|scheduler| scheduler.observe(self.name(), 0));
    }

    /// The same, of a task that looks at `other` too and does what comes first there or here.
    pub(crate) fn observe_with(self, other: Self) {
        ask(|scheduler| scheduler.observe(self.name(), other.name()));
    }

    /// Whether it is known without asking that nobody can tell when this touch happens. (What was made in another
    /// execution is asked about, to be told.)
    #[inline(always)]
    fn is_quiet(self, kind: Kind) -> bool {
        #[cfg(feature = "explore")]
        if self.0 & quiet(kind) != 0 {
            return GOES_ON.try_with(Cell::get) == Ok(self.0 & EXECUTION);
        }
        let _ = kind;
        false
    }

    #[cfg(feature = "explore")]
    fn name(self) -> u64 {
        self.0
    }

    #[cfg(not(feature = "explore"))]
    fn name(self) -> u64 {
        0
    }
}

/// What had happened for a task at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamp(#[cfg(feature = "explore")] u32);

impl Stamp {
    /// All that has happened for the calling task until now.
    pub(crate) fn here() -> Self {
        Self::default().and_here()
    }

    /// The same, and what had happened at this stamp.
    #[inline]
    pub(crate) fn and_here(self) -> Self {
        Self(
            #[cfg(feature = "explore")]
            match happened() {
                None => 0,
                // Most stamps say nothing, or what has happened here anyway.
                Some(here) if self.0 == 0 || self.0 == here => here,
                Some(_) => ask(|scheduler| scheduler.stamp(self.0)).unwrap_or(0),
            },
        )
    }

    /// What had happened then has from now on happened for the calling task.
    #[inline]
    pub(crate) fn witness(self) {
        #[cfg(feature = "explore")]
        if self.0 != 0 && happened().is_some_and(|here| here != self.0) {
            ask(|scheduler| scheduler.witness(self.0));
        }
    }
}

/// A stamp that is replaced, in a place that several tasks reach.
#[derive(Debug, Default)]
pub(crate) struct StampCell(#[cfg(feature = "explore")] std::sync::atomic::AtomicU32);

impl StampCell {
    /// Nothing has happened.
    pub(crate) const fn never() -> Self {
        Self(
            #[cfg(feature = "explore")]
            std::sync::atomic::AtomicU32::new(0),
        )
    }

    /// All that has happened for the calling task until now.
    #[inline]
    pub(crate) fn set_here(&self) {
        self.set(|_| Stamp::here());
    }

    /// Nothing has happened yet.
    pub(crate) fn forget(&self) {
        self.set(|_| Stamp::default());
    }

    /// The same, and what had happened at the stamp that it is until now.
    #[inline]
    pub(crate) fn add_here(&self) {
        self.set(Stamp::and_here);
    }

    /// See [`Stamp::witness`].
    #[inline]
    pub(crate) fn witness(&self) {
        #[cfg(feature = "explore")]
        Stamp(self.0.load(std::sync::atomic::Ordering::Relaxed)).witness();
    }

    /// Outside of an exploration nothing is written: it would be a word that tasks fight for.
    #[cfg_attr(not(feature = "explore"), allow(unused))]
    #[inline]
    fn set(&self, next: impl FnOnce(Stamp) -> Stamp) {
        #[cfg(feature = "explore")]
        if is_explored() {
            let before = Stamp(self.0.load(std::sync::atomic::Ordering::Relaxed));
            self.0.store(next(before).0, std::sync::atomic::Ordering::Relaxed);
        }
    }
}
