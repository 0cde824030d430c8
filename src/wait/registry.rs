//! All tasks of the program, and the lock under which they are judged.
//!
//! **The look.** A wait is described by a record on the waiter's own stack, so that publishing it costs one
//! store. Another task may read that record only during a *look*: it holds the verdict lock and has announced
//! itself. A waiter that leaves takes its pointer back first, and if a look is going on it waits for its end:
//!
//! ```text
//!   looker                          leaver
//!   looking = true                  waiting = null
//!   fence(SeqCst)                   fence(SeqCst)
//!   p = waiting                     if looking { wait for the verdict lock }
//!   read *p                         free *p
//! ```
//!
//! One of the two fences comes first. If the leaver's does, the looker reads null. If the looker's does, the
//! leaver reads `true` and waits. So what a look has seen stays: a task once seen to wait is, until the look
//! ends, either still waiting or stopped in the act of leaving. It can give nothing away and end nothing.
//!
//! The verdict lock is also the tie-break: of several waits that close one cycle at one moment, the first to
//! get it is the victim and takes its edge back before the next one looks.

#![allow(unsafe_code)]

use std::sync::atomic::Ordering as Std;

use super::cancel::Cancel;
use super::door::Wait;
#[cfg(feature = "explore")]
use super::graph::{self, Finding};
use super::graph::{Providers, WaitFor};
use super::op::Op;
use super::resource::Resource;
use super::scheduler;
use super::task::{Called, TaskId, TaskRecord};
use crate::platform::atomic::{AtomicBool, Ordering, fence};
use crate::platform::{self, Bug, Mutex, Record, Table, seeded};

struct Registry {
    tasks: Table<TaskRecord>,
    verdict: Mutex<()>,
    looking: AtomicBool,
}

platform::global! {
    static REGISTRY: Registry =
        Registry { tasks: Table::new(), verdict: Mutex::new(()), looking: AtomicBool::new(false) };
}

/// A new task of this name.
pub(super) fn enlist(called: Called) -> TaskId {
    let index = spare::take().unwrap_or_else(|| REGISTRY.tasks.take());
    let record = REGISTRY.tasks.at(index);
    *record.called.lock() = Some(called);
    record.permit.renew();
    record.is_coroutine.store(scheduler::is_explored(), Std::Relaxed);
    TaskId::new(index, record.generation.load(Std::Relaxed))
}

/// Ends a task: from now on its number finds nobody, and its record serves another.
///
/// Under the verdict lock, so that no verdict takes the next task of this record for the one that ended.
pub(super) fn retire(id: TaskId) {
    let record = REGISTRY.tasks.at(id.index());
    record.holds.clear();
    if scheduler::is_explored() {
        // The tasks of an exploration are judged on this thread alone, and it is here.
        record.goes_to_another();
        return spare::keep(id.index());
    }
    {
        let _verdict = REGISTRY.verdict.lock();
        record.goes_to_another();
    }
    REGISTRY.tasks.give_back(id.index());
}

/// Records that an exploring thread keeps for the tasks of its next execution.
#[cfg(feature = "explore")]
mod spare {
    use std::cell::RefCell;

    use super::REGISTRY;
    use crate::wait::scheduler;

    struct Spare(Vec<u32>);

    impl Drop for Spare {
        fn drop(&mut self) {
            self.0.drain(..).for_each(|index| REGISTRY.tasks.give_back(index));
        }
    }

    thread_local! {
        static SPARE: RefCell<Spare> = const { RefCell::new(Spare(Vec::new())) };
    }

    pub(super) fn take() -> Option<u32> {
        if !scheduler::is_explored() {
            return None;
        }
        SPARE.with_borrow_mut(|spare| spare.0.pop())
    }

    pub(super) fn keep(index: u32) {
        SPARE.with_borrow_mut(|spare| spare.0.push(index));
    }
}

#[cfg(not(feature = "explore"))]
mod spare {
    pub(super) const fn take() -> Option<u32> {
        None
    }

    pub(super) fn keep(_: u32) {}
}

/// What others see of a task, or `None` if it ended.
pub(super) fn record(id: TaskId) -> Option<Record<TaskRecord>> {
    let record = REGISTRY.tasks.at(id.index());
    (record.generation.load(Std::Relaxed) == id.generation()).then_some(record)
}

/// All that are in use, and some that were. The tasks of an exploration are among themselves, and in an order that does
/// not depend on which records they have.
pub(super) fn records() -> impl Iterator<Item = (TaskId, Record<TaskRecord>)> {
    let placed = (0..REGISTRY.tasks.used()).filter_map(|index| {
        let record = REGISTRY.tasks.at(index);
        let id = TaskId::new(index, record.generation.load(Std::Relaxed));
        Some((scheduler::place(id, record.is_coroutine.load(Std::Relaxed))?, id, record))
    });
    let mut placed: Vec<_> = placed.collect();
    placed.sort_unstable_by_key(|(place, ..)| *place);
    placed.into_iter().map(|(_, id, record)| (id, record))
}

/// What a task is called.
pub(crate) fn name(id: TaskId) -> String {
    let called = record(id).and_then(|record| record.called.lock().clone());
    called.map_or_else(|| "a task that ended".into(), |called| called.to_string())
}

/// Shows the wait to all others.
pub(super) fn publish(record: &TaskRecord, wait: &Wait<'_>) {
    let order = if seeded(Bug::RelaxedPublish) { Ordering::Relaxed } else { Ordering::Release };
    record.waiting.store(std::ptr::from_ref(wait).cast_mut().cast(), order);
}

/// Takes the wait back because it was granted, and makes sure that nobody looks at it any more.
pub(super) fn take_back(record: &TaskRecord) {
    record.waiting.store(std::ptr::null_mut(), Ordering::Release);
    fence(Ordering::SeqCst);
    if REGISTRY.looking.load(Ordering::Acquire) && !seeded(Bug::LeaveDuringLook) {
        drop(REGISTRY.verdict.lock());
    }
}

/// Takes the wait back although it was not granted: under the verdict lock, or a cycle might be reported
/// that this withdrawal has just opened.
pub(super) fn withdraw(record: &TaskRecord) {
    let _verdict = (!seeded(Bug::WithdrawUnlocked)).then(|| REGISTRY.verdict.lock());
    record.waiting.store(std::ptr::null_mut(), Ordering::Release);
}

/// Wakes all who are seen to wait on behalf of a run that has just been cancelled: they find that out by
/// themselves, and leave.
pub(super) fn interrupt(cancelled: &Cancel) {
    look(|look| {
        for (task, wait) in look.waiters() {
            if wait.cancel.as_ref().is_some_and(|cancel| cancel.is_part_of(cancelled)) {
                task.unpark();
            }
        }
    });
}

/// Whether the task is seen to wait. Only a hint, outside of a look.
pub(crate) fn seems_to_wait(id: TaskId) -> bool {
    record(id).is_some_and(|record| !record.waiting.load(Ordering::Acquire).is_null())
}

/// Judges with the whole graph at rest, as far as it has been looked at. The judge calls nothing that waits.
pub(super) fn look<R>(judge: impl FnOnce(&Look) -> R) -> R {
    /// Ends the announcement before the verdict lock goes, on unwinding too.
    struct Announced;
    impl Drop for Announced {
        fn drop(&mut self) {
            REGISTRY.looking.store(false, Ordering::Release);
        }
    }
    let _verdict = REGISTRY.verdict.lock();
    REGISTRY.looking.store(true, Ordering::Relaxed);
    let _announced = Announced;
    fence(Ordering::SeqCst);
    judge(&Look(()))
}

/// A look that is going on: no wait that was seen in it can disappear before it ends.
pub(super) struct Look(());

impl Look {
    /// The wait that a task is in, whether verdicts may rest on it or not.
    fn wait_of<'a>(&'a self, record: &TaskRecord) -> Option<&'a Wait<'a>> {
        let order = if seeded(Bug::RelaxedLook) { Ordering::Relaxed } else { Ordering::Acquire };
        let wait: *const Wait<'a> = record.waiting.load(order).cast_const().cast();
        if wait.is_null() {
            return None;
        }
        // SAFETY: the pointer was published by `publish` from a `Wait` that lives until `take_back` or
        // `withdraw` has returned. Both wait for the verdict lock when a look is going on, and this one is:
        // see the head of this file for why the leaver cannot miss it. `'a` ends with the look.
        let wait = unsafe { &*wait };
        wait.seen();
        Some(wait)
    }

    /// The wait that a task is in, in words.
    fn describe(&self, id: TaskId, wait: &Wait<'_>) -> Waiting {
        Waiting {
            task: self.name(id),
            waits_for: wait.resource.name(),
            held_by: self.names(&wait.resource.providers()),
            op: wait.op,
            during: wait.during,
        }
    }

    /// The name of a task.
    pub(super) fn name(&self, id: TaskId) -> String {
        name(id)
    }

    /// The names of these, as many as there are.
    fn names(&self, providers: &Providers<TaskId>) -> Option<String> {
        let names: Vec<_> = providers.tasks().iter().map(|id| self.name(*id)).collect();
        let between = if matches!(providers, Providers::Any(_)) { " or " } else { " and " };
        (!names.is_empty()).then(|| names.join(between))
    }

    /// All who wait.
    pub(super) fn waiters(&self) -> impl Iterator<Item = (TaskId, &Wait<'_>)> {
        records().filter_map(|(id, record)| Some((id, self.wait_of(&record)?)))
    }

    /// Takes the edge of the victim back. It is the one that looks.
    pub(super) fn withdraw(&self, record: &TaskRecord) {
        record.waiting.store(std::ptr::null_mut(), Ordering::Release);
    }
}

/// A wait as a node of the graph: the same one if it is at the same place during the same look.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a>(pub(super) &'a Wait<'a>);

impl PartialEq for Seen<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

/// The live program as a graph: of the judged waits, or of all.
pub(super) struct Live<'a> {
    pub(super) look: &'a Look,
    pub(super) judged: bool,
}

impl<'a> Live<'a> {
    /// Who can end a wait for this; a job that its owner runs in any case waits for nobody in particular.
    fn unserved(&self, resource: &dyn Resource) -> Providers<TaskId> {
        match resource.providers() {
            Providers::One(owner) if self.is_served(resource, owner) => Providers::Open,
            providers => providers,
        }
    }

    /// The owner that runs what is waited for in any case, while it waits itself: it serves.
    fn is_served(&self, resource: &dyn Resource, provider: TaskId) -> bool {
        let owner = self.waiting(provider);
        let served = owner.is_some_and(|Seen(owner)| owner.serves && resource.is_served(owner.awaits));
        served && !seeded(Bug::IgnoreServing)
    }
}

impl<'a> WaitFor for Live<'a> {
    type Task = TaskId;
    type Wait = Seen<'a>;

    fn waiting(&self, task: TaskId) -> Option<Seen<'a>> {
        let record = record(task)?;
        self.look.wait_of(&record).filter(|wait| wait.counts() || !self.judged).map(Seen)
    }

    fn providers(&self, wait: Seen<'a>) -> Providers<TaskId> {
        self.unserved(wait.0.resource)
    }
}

/// A task that waits, as [`waiting_tasks`] saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// Who waits.
    pub task: String,
    /// What for.
    pub waits_for: String,
    /// Who can end the wait, if anybody in particular.
    pub held_by: Option<String>,
    /// What the task waits to do, and where it says so.
    pub op: Op,
    /// What the task was in the middle of when it began to wait.
    pub during: Option<Op>,
}

/// Everybody who waits at this moment, in the order of their records: the live wait-for graph.
///
/// # Blocking
///
/// On the verdict lock, for as long as another look takes. Tasks that end a wait meanwhile wait for this look.
#[must_use]
pub fn waiting_tasks() -> Vec<Waiting> {
    look(|look| look.waiters().map(|(id, wait)| look.describe(id, wait)).collect())
}

/// The wait that a task is in.
pub(crate) fn waiting_of(task: TaskId) -> Option<Waiting> {
    look(|look| {
        let record = record(task)?;
        Some(look.describe(task, look.wait_of(&record)?))
    })
}

/// The same of these tasks only, each with its number.
#[cfg(feature = "explore")]
pub(crate) fn waits_of(tasks: &[TaskId]) -> Vec<(TaskId, Waiting)> {
    look(|look| {
        let waits = tasks.iter().filter_map(|id| {
            let record = record(*id)?;
            Some((*id, look.describe(*id, look.wait_of(&record)?)))
        });
        waits.collect()
    })
}

/// Whether a wait of `me` for `resource` would complete a deadlock, and one of the other tasks in it is as `wanted`.
#[cfg(feature = "explore")]
pub(crate) fn leads_through(me: TaskId, resource: &dyn Resource, wanted: impl Fn(TaskId) -> bool) -> bool {
    if !resource.providers().are_stuck(|provider| *provider == me || seems_to_wait(*provider)) {
        return false;
    }
    look(|look| {
        let supposed = Supposed { live: Live { look, judged: true }, me, resource };
        match graph::judge(&supposed, me) {
            Finding::Deadlock(steps) => steps[1..].iter().any(|step| wanted(step.task)),
            Finding::Live | Finding::Elsewhere => false,
        }
    })
}

/// The live program, if one task waited for something besides.
#[cfg(feature = "explore")]
struct Supposed<'a> {
    live: Live<'a>,
    me: TaskId,
    resource: &'a dyn Resource,
}

#[cfg(feature = "explore")]
impl<'a> WaitFor for Supposed<'a> {
    type Task = TaskId;
    /// None is the wait that is only supposed.
    type Wait = Option<Seen<'a>>;

    fn waiting(&self, task: TaskId) -> Option<Self::Wait> {
        if task == self.me { Some(None) } else { self.live.waiting(task).map(Some) }
    }

    fn providers(&self, wait: Self::Wait) -> Providers<TaskId> {
        match wait {
            Some(wait) => self.live.providers(wait),
            None => self.live.unserved(self.resource),
        }
    }
}
