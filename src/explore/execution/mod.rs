//! One execution: the tasks as coroutines of this thread, and the scheduler that they ask.
//!
//! | file | idea |
//! | --- | --- |
//! | `mod.rs` | from the first task to the end of the last |
//! | `fellow.rs` | what is known of each task |
//! | `known.rs` | the steps that are known beforehand |
//! | `ready.rs` | who can run |
//! | `scheduler.rs` | what tasks ask |
//! | `visible.rs` | which of their steps are steps |
//! | `view.rs` | what guides ask |
//!
//! A task runs until its next step, until it blocks, or until it ends. When all have come to rest in one of
//! these, a [`Guide`] says whose step is taken next. What a task does between two steps nobody else can tell
//! the time of, so the order in which the others run meanwhile does not matter.
//!
//! **The end.** An execution in which tasks are left over (they are stuck, or a limit was met) is *ending*: the
//! newest task first, each is resumed, and every wait it makes is refused with an error, every step is taken at
//! once. So the tasks leave by the ways that their own code has; no coroutine is ever unwound by force. One
//! that ignores ten thousand refusals is left suspended for ever.

#![allow(unsafe_code)]

mod fellow;
mod known;
mod ready;
mod scheduler;
mod view;
mod visible;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use corosensei::Coroutine;
use corosensei::stack::{DefaultStack, Stack as _};

use self::fellow::{Body, Fellow, Fiber, Pending, Rest};
pub(in crate::explore) use self::known::KnownStep;
use self::ready::Ready;
use crate::explore::clock::{Clocks, NOTHING, TASKS};
use crate::explore::names::Names;
use crate::explore::overflow;
use crate::explore::panics::{self, Panic};
use crate::explore::report::Left;
use crate::explore::supervise::Pulse;
use crate::wait::explored::{EXECUTION, Goes, Held, Turn, Yielder, begins, goes_on, waits_of, while_active};
use crate::wait::{Deadlock, Task, TaskId};

/// A task that ignores this many refusals is left suspended.
const PATIENCE: u32 = 10_000;
/// The number of no task.
const NOBODY: u8 = TASKS as u8;
/// The number of an execution is used again after so many.
const EXECUTIONS: u32 = (EXECUTION >> 32) as u32 + 1;
/// No event.
pub(in crate::explore) const NONE: u32 = u32::MAX;

/// What a guide needs to say what comes next.
pub(in crate::explore) trait Guide {
    /// An execution begins.
    fn begins(&mut self, execution: &Execution) {
        execution.knows(0, std::iter::empty());
    }

    /// Whose step is taken next, of the `enabled`; none to give this execution up.
    fn choose(&mut self, execution: &Execution, enabled: u32) -> Option<u8>;

    /// That step has been taken, and everybody rests again.
    fn taken(&mut self, execution: &Execution, task: u8);
}

/// What came of an execution.
#[derive(Debug, Default)]
pub(in crate::explore) struct Outcome {
    /// The guide gave it up.
    pub(in crate::explore) given_up: bool,
    /// Nobody could go on, and somebody was left.
    pub(in crate::explore) stuck: bool,
    /// Who was left then, if no cycle explains it.
    pub(in crate::explore) left: Vec<Left>,
    /// What tasks are called, if not all ended by themselves.
    pub(in crate::explore) tasks: Vec<(u8, String)>,
    /// Every cycle that closed, and whether the task that closed it was told.
    pub(in crate::explore) deadlocks: Vec<(Deadlock, bool)>,
    /// Every panic.
    pub(in crate::explore) panics: Vec<Panicked>,
    /// Coroutines that could not be ended.
    pub(in crate::explore) forgotten: u64,
    /// An owner served a job because somebody needed it, or ends were let go that could have ended a deadlock.
    pub(in crate::explore) needed: bool,
}

/// A panic, and what became of it.
#[derive(Debug)]
pub(in crate::explore) struct Panicked {
    pub(in crate::explore) panic: Panic,
    pub(in crate::explore) task: String,
    /// It ended a task, or the closure that is explored.
    pub(in crate::explore) ended: bool,
}

/// One worker's tasks, used for one execution after the other.
pub(in crate::explore) struct Execution {
    /// What the first task does.
    body: Arc<dyn Fn() + Send + Sync>,
    names: Arc<Names>,
    stack_size: usize,
    /// Timed waits may end at any moment.
    pub(in crate::explore) any_time: bool,
    /// Waits for conditions may end for no reason.
    pub(in crate::explore) spurious: bool,
    /// The virtual time since the execution began.
    now: Cell<Duration>,
    /// What ends an execution at once.
    stop_at: Option<fn(&Outcome) -> bool>,
    /// The number of this execution among all of the process: what outlives its own is told by it.
    number: Cell<u32>,
    unnamed: Arc<str>,
    fellows: Box<[Fellow; TASKS]>,
    /// The tasks of this execution, in the order in which they were started.
    numbers: RefCell<Vec<u8>>,
    /// The coroutine that is the task of a record, and the task's number.
    by_record: RefCell<Vec<(u64, u8)>>,
    clocks: RefCell<Clocks>,
    /// The tasks that can run.
    ready: Ready,
    /// Tasks that rest before a step, as bits.
    at_step: Cell<u32>,
    current: Cell<u8>,
    /// What is known of that one, among the `fellows`.
    me: Cell<NonNull<Fellow>>,
    /// Whose task is the current one of the thread, where it stays until another runs; nobody's if it is the
    /// thread's own.
    holder: Cell<u8>,
    /// What the tasks that do not run would have there, and the thread itself at the end.
    held: [Cell<Held>; TASKS + 1],
    /// A task runs, and not the explorer.
    inside: Cell<bool>,
    /// What it has done since it was resumed that was no step.
    unseen: Cell<u32>,
    events: Cell<u32>,
    /// Tasks that have not ended.
    running: Cell<u32>,
    known: RefCell<Vec<KnownStep>>,
    /// Whose step comes next, if it is known and nobody has to rest before it.
    wanted: Cell<u8>,
    hasty: Cell<bool>,
    ending: Cell<bool>,
    /// Who was in the way of the step just taken, because of a cycle.
    closing: RefCell<Vec<u8>>,
    /// Tasks whose pending step is no more what it was before the step just taken.
    disturbed: Cell<u32>,
    outcome: RefCell<Outcome>,
    pulse: Arc<Pulse>,
}

thread_local! {
    static RUNNING: Cell<*const Execution> = const { Cell::new(std::ptr::null()) };
}

/// Asks the execution that runs on this thread, if one does.
pub(in crate::explore) fn running<R>(question: impl FnOnce(&Execution) -> R) -> Option<R> {
    let execution = RUNNING.try_with(Cell::get).ok()?;
    // SAFETY: set by `run` for as long as it borrows the execution.
    (!execution.is_null()).then(|| question(unsafe { &*execution }))
}

impl Execution {
    pub(in crate::explore) fn new(
        body: Arc<dyn Fn() + Send + Sync>,
        names: Arc<Names>,
        stack_size: usize,
        pulse: Arc<Pulse>,
    ) -> Self {
        panics::install();
        overflow::install();
        let hasty = !names.is_observed();
        let fellows: Box<[Fellow; TASKS]> = Box::new(std::array::from_fn(|_| Fellow::nobody()));
        Self {
            // In an `Arc` of its own: workers do not fight for a count that each execution changes twice.
            body: Arc::new(move || body()),
            names,
            stack_size,
            any_time: true,
            spurious: false,
            now: Cell::new(Duration::ZERO),
            stop_at: None,
            number: Cell::new(0),
            unnamed: "".into(),
            me: Cell::new((&fellows[0]).into()),
            fellows,
            numbers: RefCell::default(),
            by_record: RefCell::default(),
            clocks: RefCell::default(),
            ready: Ready::default(),
            at_step: Cell::new(0),
            current: Cell::new(0),
            holder: Cell::new(NOBODY),
            held: std::array::from_fn(|_| Cell::default()),
            inside: Cell::new(false),
            unseen: Cell::new(0),
            events: Cell::new(0),
            running: Cell::new(0),
            known: RefCell::default(),
            wanted: Cell::new(NOBODY),
            hasty: Cell::new(hasty),
            ending: Cell::new(false),
            closing: RefCell::default(),
            disturbed: Cell::new(0),
            outcome: RefCell::default(),
            pulse,
        }
    }

    /// Every execution ends as soon as this is true of it, whatever its tasks could still do.
    pub(in crate::explore) fn stop_at(mut self, failed: fn(&Outcome) -> bool) -> Self {
        self.stop_at = Some(failed);
        self
    }

    /// Runs the first task, and those that it starts, until all have ended or nothing more can happen.
    pub(in crate::explore) fn run(&self, guide: &mut impl Guide) -> Outcome {
        /// Takes the pointer away again and gives the thread its own task back, on unwinding too.
        struct Running<'a>(&'a Execution);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                self.0.become_current(NOBODY);
                RUNNING.set(std::ptr::null());
            }
        }
        RUNNING.set(self);
        let _running = Running(self);
        while_active(self, || {
            self.begin();
            guide.begins(self);
            let body = self.body.clone();
            let task = Task::new("the explored closure", 0, self.unnamed.clone());
            let id = task.id();
            self.enlist(0, id, NOTHING, Box::new(move || task.run(|_| body())));
            self.drive(guide);
            self.close()
        })
    }

    /// Looks at everything anew if something was found out; whether it was.
    pub(in crate::explore) fn refresh(&self) -> bool {
        let changed = self.names.changed();
        if changed {
            self.names.begin_anew();
            self.fellows.iter().for_each(|fellow| fellow.made.borrow_mut().clear());
        }
        changed
    }

    #[inline(always)]
    fn begin(&self) {
        // Workers take blocks of numbers, so that they do not fight for them.
        static BEGUN: AtomicU32 = AtomicU32::new(0);
        const BLOCK: u32 = 256;
        let next = self.number.get() + 1;
        let is_first_of_block = next.is_multiple_of(BLOCK) || next == 1;
        let next = if is_first_of_block { BEGUN.fetch_add(BLOCK, Ordering::Relaxed) + 1 } else { next };
        self.number.set(next % EXECUTIONS);
        begins(u64::from(self.number.get()) << 32);
        self.numbers.borrow_mut().clear();
        self.ready.clear();
        self.at_step.set(0);
        self.events.set(0);
        self.running.set(0);
        self.now.set(Duration::ZERO);
        self.ending.set(false);
        *self.outcome.borrow_mut() = Outcome::default();
    }

    fn drive(&self, guide: &mut impl Guide) {
        let mut taken = None;
        loop {
            while let Some(task) = self.next_to_run() {
                self.resume(task);
            }
            if let Some(task) = taken.take() {
                guide.taken(self, task);
            }
            let enabled = self.at_step.get();
            if enabled == 0 {
                if self.let_time_pass() {
                    continue;
                }
                break;
            }
            if self.stop_at.is_some_and(|failed| failed(&self.outcome.borrow())) {
                self.outcome.borrow_mut().given_up = true;
                break;
            }
            taken = guide.choose(self, enabled);
            let Some(task) = taken else {
                self.outcome.borrow_mut().given_up = true;
                break;
            };
            self.takes(task);
            self.may_run(task);
        }
    }

    /// The step that a task rests before, or comes to, is taken.
    #[inline]
    fn takes(&self, task: u8) {
        let fellow = self.fellow(task);
        fellow.rest.set(Rest::Ready);
        fellow.last_event.set(self.events.replace(self.events.get() + 1));
        self.at_step.set(self.at_step.get() & !(1 << task));
        self.closing.borrow_mut().clear();
        self.disturbed.set(0);
    }

    /// Nothing can happen any more, but that the next timed wait ends: everything else has happened before.
    fn let_time_pass(&self) -> bool {
        let numbers = self.numbers.borrow();
        let deadline = |task: u8| {
            let fellow = self.fellow(task);
            fellow.deadline.get().filter(|_| fellow.rest.get() == Rest::Blocked)
        };
        let timed = numbers.iter().filter_map(|task| Some((deadline(*task)?, *task)));
        let Some((deadline, next)) = timed.min() else { return false };
        self.now.set(deadline);
        let mut clocks = self.clocks.borrow_mut();
        let of = |task: &u8| self.fellow(*task).clock.get();
        let all = numbers.iter().fold(NOTHING, |all, task| clocks.join(all, of(task)));
        let fellow = self.fellow(next);
        fellow.deadline.set(None);
        fellow.rest.set(Rest::Ready);
        fellow.clock.set(all);
        self.may_run(next);
        true
    }

    /// The task runs before anybody takes the next step. The order does not depend on numbers: those may be others
    /// when the execution is played again, and tasks that start others count them in the order in which they do.
    fn may_run(&self, task: u8) {
        self.ready.push(task);
    }

    /// Ends what is left, and hands out what came of it all.
    fn close(&self) -> Outcome {
        if self.running.get() > 0 {
            let left = self.left();
            self.tell_who_is_left(&left);
            self.ending.set(true);
            loop {
                let newest = self.left().into_iter().next_back();
                let Some(task) = newest else { break };
                self.resume(task);
                let fellow = self.fellow(task);
                let refusals = fellow.refusals.get();
                // It rests again although nothing can stop it: it waits without asking.
                if fellow.rest.get() != Rest::Ended && refusals > PATIENCE {
                    fellow.rest.set(Rest::Forgotten);
                } else {
                    fellow.refusals.set(refusals + 1);
                }
            }
        }
        self.become_current(NOBODY);
        if self.running.get() > 0 {
            self.numbers.borrow().iter().for_each(|number| self.leave_alone(*number));
        }
        std::mem::take(&mut self.outcome.borrow_mut())
    }

    /// If the task could not be ended, its frames stay as they are: nothing of them is ever dropped.
    fn leave_alone(&self, task: u8) {
        let fellow = self.fellow(task);
        if fellow.rest.get() == Rest::Forgotten {
            // SAFETY: no task runs, so nothing else refers to the coroutine.
            std::mem::forget(unsafe { &mut *fellow.fiber.get() }.take());
            std::mem::forget(self.held[task as usize].take());
            self.outcome.borrow_mut().forgotten += 1;
        }
    }

    fn tell_who_is_left(&self, left: &[u8]) {
        let mut outcome = self.outcome.borrow_mut();
        outcome.tasks = self.numbers.borrow().iter().map(|task| (*task, self.name_of(*task))).collect();
        if outcome.given_up {
            return;
        }
        outcome.stuck = true;
        if outcome.deadlocks.is_empty() {
            let ids: Vec<_> = left.iter().map(|task| self.id(*task)).collect();
            let mut waits = waits_of(&ids);
            let mut waiting = |id| {
                let found = waits.iter().position(|(waiting, _)| *waiting == id);
                found.map(|at| waits.swap_remove(at).1)
            };
            let name = |task: &u8| self.name_of(*task);
            outcome.left = left
                .iter()
                .zip(&ids)
                .map(|(task, id)| Left { task: name(task), waiting: waiting(*id) })
                .collect();
        }
    }

    /// Those who have not ended, the newest last.
    fn left(&self) -> Vec<u8> {
        let numbers = self.numbers.borrow();
        let rest = |number: &u8| self.fellow(*number).rest.get();
        numbers.iter().copied().filter(|n| !matches!(rest(n), Rest::Ended | Rest::Forgotten)).collect()
    }

    /// What has happened there has happened for a task too.
    #[inline]
    fn learns(&self, fellow: &Fellow, clock: u32) {
        fellow.clock.set(self.clocks.borrow_mut().join(fellow.clock.get(), clock));
    }

    #[inline]
    fn fellow(&self, task: u8) -> &Fellow {
        debug_assert!(task != NOBODY);
        // No bound to check: this is what is asked most often.
        &self.fellows[task as usize % TASKS]
    }

    /// The task that runs.
    #[inline]
    fn me(&self) -> &Fellow {
        // SAFETY: one of the fellows, which stay in their box for as long as the execution is there; nobody changes
        // one but by its cells.
        unsafe { self.me.get().as_ref() }
    }

    fn enlist(&self, number: u8, id: TaskId, clock: u32, body: Body) {
        let fellow = self.fellow(number);
        fellow.becomes(id, clock, body);
        // SAFETY: the slot of a task that is being started is nobody's: it does not run yet.
        unsafe { &mut *fellow.fiber.get() }.get_or_insert_with(|| self.fiber(fellow));
        self.running.set(self.running.get() + 1);
        self.numbers.borrow_mut().push(number);
        self.is_task(number, id);
        self.may_run(number);
    }

    /// A coroutine that is this task of one execution after the other, until nobody gives it another body.
    #[cold]
    fn fiber(&self, fellow: &Fellow) -> Fiber {
        let stack = DefaultStack::new(self.stack_size)
            .unwrap_or_else(|error| panic!("no stack of {} bytes for a task: {error}", self.stack_size));
        fellow.lowest.set(stack.limit().get());
        Coroutine::with_stack(stack, |yielder: &Yielder, _| {
            let begins = |execution: &Self| {
                execution.me().yielder.set(Some(yielder.into()));
                execution.me().body.take()
            };
            while let Some(body) = running(begins).flatten() {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
                    running(|execution| execution.ended_by(&*payload));
                }
                running(|execution| execution.me().rest.set(Rest::Ended));
                yielder.suspend(());
            }
        })
    }

    /// What the thread takes for its current task is from now on that of this coroutine.
    #[inline]
    fn become_current(&self, task: u8) {
        let before = self.holder.replace(task);
        if before != task {
            self.held[before as usize].set(self.held[task as usize].take().exchange());
        }
    }

    // Each return that follows a switch of stacks is one that the processor has not foreseen.
    #[inline(always)]
    fn resume(&self, task: u8) {
        let fellow = self.fellow(task);
        self.current.set(task);
        self.me.set(fellow.into());
        self.pulse.resumed(fellow.id.get(), self.events.get());
        self.become_current(task);
        self.inside.set(true);
        self.unseen.set(0);
        // SAFETY: the fellows stay in their box for as long as the execution is there.
        unsafe { goes_on(&fellow.clock) };
        // SAFETY: the slot is only touched here, by `enlist` before the task runs first, and by `close` when no
        // task runs; what the coroutine calls meanwhile resumes nobody, and enlists others only.
        let fiber = unsafe { &mut *fellow.fiber.get() }.as_mut();
        fiber.expect("it was enlisted").resume(self.goes());
        self.inside.set(false);
        self.pulse.rests();
        if fellow.rest.get() == Rest::Ended {
            self.running.set(self.running.get() - 1);
        }
    }

    /// How a task goes on now.
    #[inline]
    fn goes(&self) -> Goes {
        if self.ending.get() { Goes::ToItsEnd } else { Goes::On }
    }

    /// The task that runs rests in this way until it is resumed.
    #[inline(always)]
    fn rests<'a>(&self, rest: Rest) -> Turn<'a> {
        let me = self.me();
        me.rest.set(rest);
        let yielder = me.yielder.get().expect("a task that runs has said how it is suspended");
        // SAFETY: set when this coroutine started, and it lives for as long as the coroutine does.
        unsafe { Turn::when_resumed(yielder) }
    }

    /// The task that runs rests before this step, until it is its turn.
    #[inline(always)]
    fn rests_before<'a>(&self, pending: Pending) -> Turn<'a> {
        if self.takes_known(self.current.get(), pending.touch) {
            return Turn::now(Goes::On);
        }
        self.me().pending.set(pending);
        self.at_step.set(self.at_step.get() | 1 << self.current.get());
        self.rests(Rest::AtStep)
    }

    /// The task asks although everything is ending.
    #[cold]
    fn refuse(&self) {
        let me = self.me();
        me.refusals.set(me.refusals.get() + 1);
        if me.refusals.get() > PATIENCE {
            loop {
                self.rests(Rest::Forgotten).wait();
            }
        }
    }

    #[inline]
    fn is_task(&self, number: u8, id: TaskId) {
        let mut by_record = self.by_record.borrow_mut();
        let record = id.index() as usize;
        if by_record.len() <= record {
            by_record.resize(record + 1, (0, 0));
        }
        by_record[record] = (id.word(), number);
    }

    /// The coroutine that is, or was, this task. A task's number is never used again.
    fn number_of(&self, id: TaskId) -> Option<u8> {
        let (word, number) = *self.by_record.borrow().get(id.index() as usize)?;
        (word == id.word()).then_some(number)
    }
}

/// Ends the coroutines. An execution that was given up in the middle of a panic of the explorer itself leaves those
/// alone that have not come to the end of their task.
impl Drop for Execution {
    fn drop(&mut self) {
        for fellow in self.fellows.iter_mut() {
            let Some(mut fiber) = fellow.fiber.get_mut().take() else { continue };
            if fellow.rest.get() == Rest::Ended {
                // No execution runs, so there is no body.
                fiber.resume(Goes::ToItsEnd);
            } else {
                std::mem::forget((fiber, fellow.body.take()));
            }
        }
        self.held.iter().for_each(|held| std::mem::forget(held.take()));
    }
}
