//! One execution: the tasks as coroutines of this thread, and the scheduler that they ask.
//!
//! | file | idea |
//! | --- | --- |
//! | `mod.rs` | from the first task to the end of the last |
//! | `fellow.rs` | what is known of each task |
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
mod scheduler;
mod view;
mod visible;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use corosensei::stack::{DefaultStack, Stack as _};
use corosensei::{Coroutine, CoroutineResult, Yielder};

use self::fellow::{Body, Fellow, Pending, Rest, Seen};
use crate::explore::clock::{Clock, TASKS};
use crate::explore::names::Names;
use crate::explore::overflow;
use crate::explore::panics::{self, Panic};
use crate::explore::report::Left;
use crate::explore::supervise::Pulse;
use crate::wait::explored::{waits_of, while_active};
use crate::wait::{Deadlock, Task, TaskId};

/// A task that ignores this many refusals is left suspended.
const PATIENCE: u32 = 10_000;
/// No event.
pub(in crate::explore) const NONE: u32 = u32::MAX;

/// What a guide needs to say what comes next.
pub(in crate::explore) trait Guide {
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
    /// An owner served a job because somebody needed it.
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
    bodies: Box<[Body]>,
    fellows: RefCell<Vec<Fellow>>,
    /// The tasks of this execution, in the order in which they were started.
    numbers: RefCell<Vec<u8>>,
    /// The coroutine that is the task of a record, and the task's number.
    by_record: RefCell<Vec<(u64, u8)>>,
    children: RefCell<HashMap<(u8, u32), u8>>,
    objects: RefCell<Vec<Vec<Seen>>>,
    stamps: RefCell<Vec<Clock>>,
    lines: RefCell<HashMap<u64, VecDeque<TaskId>>>,
    stacks: RefCell<Vec<DefaultStack>>,
    ready: RefCell<Vec<u8>>,
    at_step: Cell<u32>,
    current: Cell<u8>,
    /// A task runs, and not the explorer.
    inside: Cell<bool>,
    /// What it has done since it was resumed that was no step.
    unseen: Cell<u32>,
    events: Cell<u32>,
    /// Tasks that have not ended.
    running: Cell<u32>,
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
    pub(in crate::explore) fn new(names: Arc<Names>, stack_size: usize, pulse: Arc<Pulse>) -> Self {
        panics::install();
        overflow::install();
        Self {
            names,
            stack_size,
            any_time: true,
            spurious: false,
            now: Cell::new(Duration::ZERO),
            stop_at: None,
            number: Cell::new(0),
            unnamed: "".into(),
            bodies: (0..TASKS).map(|_| Body::default()).collect(),
            fellows: RefCell::new((0..TASKS).map(|_| Fellow::nobody()).collect()),
            numbers: RefCell::default(),
            by_record: RefCell::default(),
            children: RefCell::default(),
            objects: RefCell::new(vec![Vec::new(); TASKS]),
            stamps: RefCell::default(),
            lines: RefCell::default(),
            stacks: RefCell::default(),
            ready: RefCell::default(),
            at_step: Cell::new(0),
            current: Cell::new(0),
            inside: Cell::new(false),
            unseen: Cell::new(0),
            events: Cell::new(0),
            running: Cell::new(0),
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

    /// Runs `body` as the first task until all tasks have ended or nothing more can happen.
    pub(in crate::explore) fn run(
        &self,
        guide: &mut impl Guide,
        body: impl FnOnce() + Send + 'static,
    ) -> Outcome {
        /// Takes the pointer away again, on unwinding too.
        struct Running;
        impl Drop for Running {
            fn drop(&mut self) {
                RUNNING.set(std::ptr::null());
            }
        }
        RUNNING.set(self);
        let _running = Running;
        while_active(self, || {
            self.begin();
            let task = Task::new("the explored closure", 0, self.unnamed.clone());
            let id = task.id();
            self.enlist(0, id, Clock::ZERO, Box::new(move || task.run(|_| body())));
            self.drive(guide);
            self.close()
        })
    }

    /// Looks at everything anew if something was found out.
    pub(in crate::explore) fn refresh(&self) {
        if self.names.changed() {
            self.names.begin_anew();
            self.objects.borrow_mut().iter_mut().for_each(Vec::clear);
        }
    }

    fn begin(&self) {
        // Workers take blocks of numbers, so that they do not fight for them.
        static EXECUTIONS: AtomicU32 = AtomicU32::new(0);
        const BLOCK: u32 = 256;
        let next = self.number.get() + 1;
        let next = if next.is_multiple_of(BLOCK) || next == 1 {
            EXECUTIONS.fetch_add(BLOCK, Ordering::Relaxed) + 1
        } else {
            next
        };
        self.number.set(next);
        self.numbers.borrow_mut().clear();
        let mut stamps = self.stamps.borrow_mut();
        stamps.clear();
        stamps.push(Clock::ZERO);
        self.lines.borrow_mut().clear();
        self.ready.borrow_mut().clear();
        self.at_step.set(0);
        self.events.set(0);
        self.running.set(0);
        self.now.set(Duration::ZERO);
        self.ending.set(false);
        *self.outcome.borrow_mut() = Outcome::default();
    }

    fn drive(&self, guide: &mut impl Guide) {
        loop {
            self.settle_down();
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
            let Some(task) = guide.choose(self, enabled) else {
                self.outcome.borrow_mut().given_up = true;
                break;
            };
            let event = self.events.get();
            self.events.set(event + 1);
            self.at_step.set(enabled & !(1 << task));
            self.with(task, |fellow| {
                fellow.rest = Rest::Ready;
                fellow.last_event = event;
            });
            self.closing.borrow_mut().clear();
            self.disturbed.set(0);
            self.resume(task);
            self.settle_down();
            guide.taken(self, task);
        }
    }

    /// Nothing can happen any more, but that the next timed wait ends: everything else has happened before.
    fn let_time_pass(&self) -> bool {
        let numbers = self.numbers.borrow();
        let deadline =
            |task: &u8| self.with(*task, |fellow| fellow.deadline.filter(|_| fellow.rest == Rest::Blocked));
        let timed = numbers.iter().filter_map(|task| Some((deadline(task)?, *task)));
        let Some((deadline, next)) = timed.min() else { return false };
        self.now.set(deadline);
        let mut all = Clock::ZERO;
        numbers.iter().for_each(|task| all.join(&self.with(*task, |fellow| fellow.clock)));
        self.with(next, |fellow| {
            fellow.deadline = None;
            fellow.rest = Rest::Ready;
            fellow.stamp = 0;
            fellow.clock = all;
        });
        self.ready.borrow_mut().push(next);
        true
    }

    fn settle_down(&self) {
        loop {
            let next = self.ready.borrow_mut().pop();
            let Some(task) = next else { break };
            self.resume(task);
        }
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
                self.with(task, |fellow| {
                    // It rests again although nothing can stop it: it waits without asking.
                    if fellow.rest != Rest::Ended && fellow.refusals > PATIENCE {
                        fellow.rest = Rest::Forgotten;
                    } else {
                        fellow.refusals += 1;
                    }
                });
            }
        }
        for number in self.numbers.borrow().iter() {
            let body = &self.bodies[*number as usize];
            // SAFETY: no task runs, so nothing else refers to the coroutine.
            let fiber = unsafe { &mut *body.fiber.get() }.take();
            match fiber {
                Some(fiber) if fiber.done() => self.stacks.borrow_mut().push(fiber.into_stack()),
                fiber => {
                    // Its frames stay as they are: nothing of them is ever dropped.
                    std::mem::forget(fiber);
                    std::mem::forget(body.held.take());
                    self.outcome.borrow_mut().forgotten += 1;
                }
            }
        }
        std::mem::take(&mut self.outcome.borrow_mut())
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
        let rest = |number: &u8| self.with(*number, |fellow| fellow.rest);
        numbers.iter().copied().filter(|n| !matches!(rest(n), Rest::Ended | Rest::Forgotten)).collect()
    }

    fn with<R>(&self, task: u8, look: impl FnOnce(&mut Fellow) -> R) -> R {
        look(&mut self.fellows.borrow_mut()[task as usize])
    }

    fn enlist(&self, number: u8, id: TaskId, clock: Clock, body: Box<dyn FnOnce() + Send>) {
        let stack = self.stacks.borrow_mut().pop();
        let stack = stack.unwrap_or_else(|| {
            DefaultStack::new(self.stack_size)
                .unwrap_or_else(|error| panic!("no stack of {} bytes for a task: {error}", self.stack_size))
        });
        self.bodies[number as usize].lowest.set(stack.limit().get());
        let fiber = Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            let start = |execution: &Execution| execution.with(number, |fellow| fellow.yielder = yielder);
            running(start).expect("a coroutine runs inside an execution");
            if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
                running(|execution| execution.ended_by(&*payload));
            }
        });
        // SAFETY: the slot of a task that is being started is nobody's: it does not run yet.
        unsafe { *self.bodies[number as usize].fiber.get() = Some(fiber) };
        self.fellows.borrow_mut()[number as usize] =
            Fellow { id, clock, rest: Rest::Ready, ..Fellow::nobody() };
        self.running.set(self.running.get() + 1);
        self.numbers.borrow_mut().push(number);
        self.is_task(number, id);
        self.ready.borrow_mut().push(number);
    }

    fn resume(&self, task: u8) {
        let body = &self.bodies[task as usize];
        let before = self.current.replace(task);
        self.pulse.resumed(self.with(task, |fellow| fellow.id), self.events.get());
        body.held.borrow_mut().exchange();
        overflow::runs(body.lowest.get(), task);
        self.inside.set(true);
        self.unseen.set(0);
        // SAFETY: the slot is only touched here, by `enlist` before the task runs first, and by `close` when no
        // task runs; what the coroutine calls meanwhile resumes nobody, and enlists others only.
        let fiber = unsafe { &mut *body.fiber.get() }.as_mut();
        let ended = matches!(fiber.expect("it was enlisted").resume(()), CoroutineResult::Return(()));
        self.inside.set(false);
        overflow::runs(0, 0);
        self.pulse.rests();
        body.held.borrow_mut().exchange();
        self.current.set(before);
        if ended {
            self.running.set(self.running.get() - 1);
            self.with(task, |fellow| fellow.rest = Rest::Ended);
        }
    }

    /// Suspends the task that runs, which rests in this way, until it is resumed.
    fn suspend(&self, rest: Rest) {
        let me = self.current.get();
        let yielder = self.with(me, |fellow| {
            fellow.rest = rest;
            fellow.yielder
        });
        // SAFETY: set when this coroutine started, and it lives for as long as the coroutine does.
        unsafe { (*yielder).suspend(()) }
    }

    /// The task that runs rests before this step, until it is its turn.
    fn rest_before(&self, pending: Pending) {
        let me = self.current.get();
        self.with(me, |fellow| fellow.pending = pending);
        self.at_step.set(self.at_step.get() | 1 << me);
        self.suspend(Rest::AtStep);
    }

    /// The task asks although everything is ending.
    fn refuse(&self) {
        let refusals = self.with(self.current.get(), |fellow| {
            fellow.refusals += 1;
            fellow.refusals
        });
        if refusals > PATIENCE {
            loop {
                self.suspend(Rest::Forgotten);
            }
        }
    }

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

/// An execution that was given up in the middle of a panic of the explorer itself leaves its coroutines alone.
impl Drop for Execution {
    fn drop(&mut self) {
        for body in &self.bodies {
            // SAFETY: the execution is being dropped, so no task runs.
            std::mem::forget(unsafe { &mut *body.fiber.get() }.take());
            std::mem::forget(body.held.take());
        }
    }
}
