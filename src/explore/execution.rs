//! One execution: the tasks as coroutines of this thread, and the scheduler that they ask.
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

use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use corosensei::stack::{DefaultStack, Stack as _};
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::clock::{Clock, TASKS};
use super::dependence::Touch;
use super::names::{Known, Names};
use super::overflow;
use super::panics::{self, Panic};
use super::report::Left;
use super::supervise::Pulse;
use crate::wait::explored::{Held, Scheduler, Step, leads_through, name_of, waits_of, while_active};
use crate::wait::{Access, Deadlock, Kind, Op, Resource, Task, TaskId};

/// A task that ignores this many refusals is left suspended.
const PATIENCE: u32 = 10_000;
/// A task that does more than this between two steps may be looking for something that another is to do.
const MOST_UNSEEN: u32 = 1_000;
/// No event.
pub(super) const NONE: u32 = u32::MAX;

type Fiber = Coroutine<(), (), (), DefaultStack>;

/// What a guide needs to say what comes next.
pub(super) trait Guide {
    /// Whose step is taken next, of the `enabled`; none to give this execution up.
    fn choose(&mut self, execution: &Execution, enabled: u32) -> Option<u8>;

    /// That step has been taken, and everybody rests again.
    fn taken(&mut self, execution: &Execution, task: u8);
}

/// How a task rests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rest {
    /// Not at all: it can run.
    Ready,
    /// Before a step.
    AtStep,
    /// Until it is unparked.
    Blocked,
    /// It ignored too many refusals.
    Forgotten,
    /// For good.
    Ended,
}

/// The step that a task is about to take.
#[derive(Clone, Copy)]
struct Pending {
    op: Op,
    touch: Touch,
    towards: Option<*const dyn Resource>,
}

/// A task as a coroutine. It stays where it is while it runs.
#[derive(Default)]
struct Body {
    fiber: UnsafeCell<Option<Fiber>>,
    held: RefCell<Held>,
    /// The lowest address of its stack.
    lowest: Cell<usize>,
}

struct Fellow {
    id: TaskId,
    yielder: *const Yielder<(), ()>,
    rest: Rest,
    /// Somebody unparked it while it did not park.
    token: bool,
    /// When its wait ends by time, if it does.
    deadline: Option<Duration>,
    pending: Pending,
    clock: Clock,
    /// The last stamp given for this clock, while the clock stays as it is.
    stamp: u32,
    last_event: u32,
    objects: u32,
    children: u32,
    refusals: u32,
    /// Events that gave it work while it was about to look by itself.
    needed_at: Vec<u32>,
}

impl Fellow {
    /// Before it is anybody's.
    fn nobody() -> Self {
        Self {
            id: TaskId::NOBODY,
            yielder: std::ptr::null(),
            rest: Rest::Ended,
            token: false,
            deadline: None,
            pending: Pending { op: Op::unasked(""), touch: Touch::NOTHING, towards: None },
            clock: Clock::ZERO,
            stamp: 0,
            last_event: NONE,
            objects: 0,
            children: 0,
            refusals: 0,
            needed_at: Vec::new(),
        }
    }
}

/// What this worker knows of an object.
#[derive(Clone, Copy, Default)]
struct Seen {
    known: Known,
    asked: bool,
    /// The execution and the event that last touched it.
    execution: u32,
    last: u32,
}

/// What came of an execution.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The guide gave it up.
    pub(super) given_up: bool,
    /// Nobody could go on, and somebody was left.
    pub(super) stuck: bool,
    /// Who was left then, if no cycle explains it.
    pub(super) left: Vec<Left>,
    /// What tasks are called, if not all ended by themselves.
    pub(super) tasks: Vec<(u8, String)>,
    /// Every cycle that closed, whether the task that closed it was told, and how many steps had been taken.
    pub(super) deadlocks: Vec<(Deadlock, bool, u32)>,
    /// Every panic.
    pub(super) panics: Vec<Panicked>,
    /// Coroutines that could not be ended.
    pub(super) forgotten: u64,
    /// An owner served a job because somebody needed it.
    pub(super) needed: bool,
}

/// A panic, and what became of it.
#[derive(Debug)]
pub(super) struct Panicked {
    pub(super) panic: Panic,
    pub(super) task: String,
    /// It ended a task, or the closure that is explored.
    pub(super) ended: bool,
}

/// One worker's tasks, used for one execution after the other.
pub(super) struct Execution {
    names: Arc<Names>,
    stack_size: usize,
    /// Timed waits may end at any moment.
    pub(super) any_time: bool,
    /// Waits for conditions may end for no reason.
    pub(super) spurious: bool,
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
pub(super) fn running<R>(question: impl FnOnce(&Execution) -> R) -> Option<R> {
    let execution = RUNNING.try_with(Cell::get).ok()?;
    // SAFETY: set by `run` for as long as it borrows the execution.
    (!execution.is_null()).then(|| question(unsafe { &*execution }))
}

impl Execution {
    pub(super) fn new(names: Arc<Names>, stack_size: usize, pulse: Arc<Pulse>) -> Self {
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
    pub(super) fn stop_at(mut self, failed: fn(&Outcome) -> bool) -> Self {
        self.stop_at = Some(failed);
        self
    }

    /// Runs `body` as the first task until all tasks have ended or nothing more can happen.
    pub(super) fn run(&self, guide: &mut impl Guide, body: impl FnOnce() + Send + 'static) -> Outcome {
        /// Takes the pointer away again, on unwinding too.
        struct Running;
        impl Drop for Running {
            fn drop(&mut self) {
                RUNNING.set(std::ptr::null());
            }
        }
        // SAFETY of the lifetime: `while_active` needs `'static` for the trait object only; the scheduler has
        // no borrowed parts.
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
    pub(super) fn refresh(&self) {
        if self.names.changed() {
            self.names.begin_anew();
            self.objects.borrow_mut().iter_mut().for_each(Vec::clear);
        }
    }

    fn begin(&self) {
        static EXECUTIONS: AtomicU64 = AtomicU64::new(1);
        self.number.set(EXECUTIONS.fetch_add(1, Ordering::Relaxed) as u32);
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

    /// What is left of a touch when everything is taken away that nobody can tell the time of.
    fn visible(&self, me: u8, access: Access) -> Touch {
        let object = self.local(access.object);
        let seen = self.look_up(object, me);
        let visible = match access.kind {
            Kind::Settle => seen.known.observed,
            Kind::Look => true,
            Kind::Unlock => seen.known.observed && seen.known.shared,
            _ => seen.known.shared,
        };
        if !matches!(access.kind, Kind::Settle | Kind::Look)
            && !seen.known.shared
            && seen.known.first != me + 1
        {
            self.names.share(object);
        }
        let object = match (access.kind, seen.known.with) {
            (Kind::Settle | Kind::Look, with) if with != 0 => {
                self.look_up(with, me);
                with
            }
            _ => object,
        };
        if visible { Touch { object, kind: access.kind } } else { Touch::NOTHING }
    }

    /// Whether the task has done so much without a step that it may be waiting for somebody in a loop. Then this
    /// is one after all.
    fn goes_on_and_on(&self, access: Option<Access>) -> bool {
        self.unseen.set(self.unseen.get() + 1);
        if self.unseen.get() > MOST_UNSEEN {
            access.into_iter().for_each(|access| self.names.share(self.local(access.object)));
        }
        self.unseen.get() > MOST_UNSEEN
    }

    /// The name of an object without the execution that it belongs to.
    fn local(&self, object: u64) -> u32 {
        assert!(
            (object >> 32) as u32 == self.number.get(),
            "something that tasks share (a lock, a queue, an owner, a session) was made outside of this \
             execution: make it inside the closure that is explored, so that every execution has its own"
        );
        object as u32
    }

    fn look_up(&self, object: u32, me: u8) -> Seen {
        let (creator, nth) = ((object >> 27) as usize, (object & ((1 << 27) - 1)) as usize);
        let mut objects = self.objects.borrow_mut();
        let of_creator = &mut objects[creator];
        if of_creator.len() <= nth {
            of_creator.resize(nth + 1, Seen::default());
        }
        let seen = &mut of_creator[nth];
        if !seen.asked {
            *seen = Seen { known: self.names.touched(object, me), asked: true, ..*seen };
        }
        *seen
    }

    // ---- what guides ask

    /// The step that a task is about to take.
    pub(super) fn pending(&self, task: u8) -> Touch {
        self.with(task, |fellow| fellow.pending.touch)
    }

    /// The words for that step.
    pub(super) fn pending_op(&self, task: u8) -> Op {
        self.with(task, |fellow| fellow.pending.op)
    }

    /// When this task was started in this execution, counting from 0.
    pub(super) fn ordinal(&self, task: u8) -> u8 {
        let numbers = self.numbers.borrow();
        numbers.iter().position(|number| *number == task).unwrap_or(TASKS) as u8
    }

    /// The task that was started as this one of the execution.
    pub(super) fn by_ordinal(&self, ordinal: u8) -> Option<u8> {
        self.numbers.borrow().get(ordinal as usize).copied()
    }

    /// The number of a task of this execution.
    pub(super) fn id(&self, task: u8) -> TaskId {
        self.with(task, |fellow| fellow.id)
    }

    /// Reads and replaces what has happened for a task.
    pub(super) fn with_clock<R>(&self, task: u8, change: impl FnOnce(&mut Clock) -> R) -> R {
        self.with(task, |fellow| {
            fellow.stamp = 0;
            change(&mut fellow.clock)
        })
    }

    /// The event that touched an object last in this execution, which becomes `event`.
    pub(super) fn previous(&self, object: u32, event: u32) -> u32 {
        if object == 0 {
            return NONE;
        }
        let (creator, nth) = ((object >> 27) as usize, (object & ((1 << 27) - 1)) as usize);
        let seen = &mut self.objects.borrow_mut()[creator][nth];
        let last = if seen.execution == self.number.get() { seen.last } else { NONE };
        (seen.execution, seen.last) = (self.number.get(), event);
        last
    }

    /// The last events of the tasks that the step just taken closed a cycle with.
    pub(super) fn closed_with(&self) -> Vec<u32> {
        let closing = self.closing.borrow();
        closing
            .iter()
            .map(|task| self.with(*task, |fellow| fellow.last_event))
            .filter(|e| *e != NONE)
            .collect()
    }

    /// The events that gave this task work while it was about to look for itself.
    pub(super) fn needed_at(&self, task: u8) -> Vec<u32> {
        self.with(task, |fellow| std::mem::take(&mut fellow.needed_at))
    }

    /// Tasks whose pending step the step just taken has changed, by a cycle and not by an object.
    pub(super) fn disturbed(&self, taken: u8) -> u32 {
        let event = self.events.get() - 1;
        let is_new = |id: TaskId| {
            self.number_of(id).is_some_and(|task| self.with(task, |fellow| fellow.last_event == event))
        };
        self.disturbed.get() | self.leading(taken, is_new)
    }

    /// Tasks whose pending wait would close a cycle through `owner`.
    pub(super) fn leading_through(&self, owner: u8) -> u32 {
        let owner_id = self.id(owner);
        self.leading(owner, |id| id == owner_id)
    }

    fn leading(&self, except: u8, wanted: impl Fn(TaskId) -> bool) -> u32 {
        let (mut rest, mut found) = (self.at_step.get() & !(1 << except), 0);
        while rest != 0 {
            let task = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            let (id, towards) = self.with(task, |fellow| (fellow.id, fellow.pending.towards));
            // SAFETY: the task is suspended in the step, and what it is about to wait for outlives that.
            if towards.is_some_and(|towards| leads_through(id, unsafe { &*towards }, &wanted)) {
                found |= 1 << task;
            }
        }
        found
    }

    /// A panic on this thread, as the hook sees it; `false` if it is the explorer's own.
    pub(super) fn panicked(&self, describe: impl FnOnce() -> Panic) -> bool {
        if self.inside.get() && !self.ending.get() {
            let task = self.name_of(self.current.get());
            self.outcome.borrow_mut().panics.push(Panicked { panic: describe(), task, ended: false });
        }
        self.inside.get()
    }

    /// The task that runs ends by unwinding.
    fn ended_by(&self, payload: &(dyn std::any::Any + Send)) {
        if self.ending.get() {
            return;
        }
        let task = self.name_of(self.current.get());
        let mut outcome = self.outcome.borrow_mut();
        match outcome.panics.last_mut() {
            Some(last) => last.ended = true,
            // Unwinding that no hook was told of.
            None => outcome.panics.push(Panicked { panic: Panic::silent(payload), task, ended: true }),
        }
    }

    /// What a task of this execution is called.
    pub(super) fn name_of(&self, task: u8) -> String {
        name_of(self.id(task))
    }
}

impl Scheduler for Execution {
    fn name(&self) -> u64 {
        let me = self.current.get();
        let nth = self.with(me, |fellow| {
            fellow.objects += 1;
            fellow.objects
        });
        (u64::from(self.number.get()) << 32) | (u64::from(me) << 27) | u64::from(nth)
    }

    fn is_ending(&self) -> bool {
        let ending = self.ending.get();
        if ending {
            self.refuse();
        }
        ending
    }

    fn step(&self, step: &Step<'_>) {
        if self.ending.get() {
            return self.refuse();
        }
        let me = self.current.get();
        let touch = step.access.map_or(Touch::NOTHING, |access| self.visible(me, access));
        let waits = step.towards.is_some();
        let private_lock = step.access.is_some_and(|access| access.kind == Kind::Lock);
        if touch == Touch::NOTHING && (!waits || private_lock) && !self.goes_on_and_on(step.access) {
            return;
        }
        let towards = step.towards.map(|towards| {
            // SAFETY: only the lifetime changes; it is read while the task is suspended here, inside `step`.
            unsafe { std::mem::transmute::<&dyn Resource, *const (dyn Resource + 'static)>(towards) }
        });
        self.with(me, |fellow| fellow.pending = Pending { op: step.op, touch, towards });
        self.at_step.set(self.at_step.get() | 1 << me);
        self.suspend(Rest::AtStep);
    }

    fn observe(&self, object: u64, with: u64) {
        if self.ending.get() {
            return;
        }
        let object = self.local(object);
        let with = if with == 0 { 0 } else { self.local(with) };
        let known = self.look_up(object, self.current.get()).known;
        if !known.observed || known.with < with {
            self.names.observe(object, with);
        }
    }

    fn park(&self) {
        let me = self.current.get();
        if self.ending.get() || self.with(me, |fellow| std::mem::replace(&mut fellow.token, false)) {
            return;
        }
        self.suspend(Rest::Blocked);
    }

    fn timeouts_any_time(&self) -> bool {
        self.any_time
    }

    fn wakes_spuriously(&self) -> bool {
        self.spurious
    }

    fn park_timeout(&self, timeout: Duration) -> bool {
        let deadline = self.now.get().saturating_add(timeout);
        self.with(self.current.get(), |fellow| fellow.deadline = Some(deadline));
        self.park();
        // Whoever let the time come took the deadline away.
        self.with(self.current.get(), |fellow| fellow.deadline.take()).is_none()
    }

    fn yield_now(&self) {
        if self.ending.get() {
            return self.refuse();
        }
        let me = self.current.get();
        let pending = Pending { op: Op::unasked("yield"), touch: Touch::NOTHING, towards: None };
        self.with(me, |fellow| fellow.pending = pending);
        self.at_step.set(self.at_step.get() | 1 << me);
        self.suspend(Rest::AtStep);
    }

    fn unpark(&self, task: TaskId) {
        let Some(number) = self.number_of(task) else { return };
        let ready = self.with(number, |fellow| {
            let parked = fellow.rest == Rest::Blocked;
            match parked {
                true => fellow.rest = Rest::Ready,
                false => fellow.token = true,
            }
            parked
        });
        if ready && !self.ending.get() {
            self.ready.borrow_mut().push(number);
        }
    }

    fn spawn(&self, task: TaskId, body: Box<dyn FnOnce() + Send>) {
        let me = self.current.get();
        let (nth, clock) = self.with(me, |fellow| {
            fellow.children += 1;
            (fellow.children, fellow.clock)
        });
        let known = self.children.borrow().get(&(me, nth)).copied();
        let number = known.unwrap_or_else(|| {
            let number = self.names.task(me, nth);
            self.children.borrow_mut().insert((me, nth), number);
            number
        });
        self.enlist(number, task, clock, body);
    }

    fn become_task(&self, task: TaskId) -> TaskId {
        let me = self.current.get();
        self.is_task(me, task);
        self.with(me, |fellow| std::mem::replace(&mut fellow.id, task))
    }

    fn stamp(&self, earlier: u32) -> u32 {
        let me = self.current.get();
        let mut stamps = self.stamps.borrow_mut();
        self.with(me, |fellow| {
            if earlier == 0 && fellow.stamp != 0 {
                return fellow.stamp;
            }
            let mut clock = fellow.clock;
            if earlier != 0 {
                clock.join(&stamps[earlier as usize]);
            }
            stamps.push(clock);
            let stamp = (stamps.len() - 1) as u32;
            if earlier == 0 {
                fellow.stamp = stamp;
            }
            stamp
        })
    }

    fn witness(&self, stamp: u32) {
        if stamp != 0 {
            let stamps = self.stamps.borrow();
            self.with(self.current.get(), |fellow| {
                fellow.clock.join(&stamps[stamp as usize]);
                fellow.stamp = 0;
            });
        }
    }

    fn line_up(&self, object: u64, task: TaskId) {
        let mut lines = self.lines.borrow_mut();
        let line = lines.entry(object).or_default();
        if !line.contains(&task) {
            line.push_back(task);
        }
    }

    fn next_in_line(&self, object: u64) -> Option<TaskId> {
        if self.lines.borrow().is_empty() || self.ending.get() {
            return None;
        }
        self.lines.borrow_mut().get_mut(&object)?.pop_front()
    }

    fn closes(&self, cycle: &mut dyn Iterator<Item = TaskId>) {
        let mut closing = self.closing.borrow_mut();
        closing.extend(cycle.filter_map(|id| self.number_of(id)));
        // At once: what the victim gives back from now on has happened after those waits.
        let mut clock = Clock::ZERO;
        closing.iter().for_each(|task| clock.join(&self.with(*task, |fellow| fellow.clock)));
        self.with_clock(self.current.get(), |mine| mine.join(&clock));
    }

    fn needs(&self, owner: TaskId) {
        let Some(owner) = self.number_of(owner) else { return };
        self.outcome.borrow_mut().needed = true;
        let event = self.events.get() - 1;
        let clock = self.with(self.current.get(), |fellow| fellow.clock);
        self.with(owner, |fellow| match fellow.rest {
            // It was about to look in any case: who is first is a race.
            Rest::AtStep => {
                fellow.needed_at.push(event);
                self.disturbed.set(self.disturbed.get() | 1 << owner);
            }
            _ => {
                fellow.clock.join(&clock);
                fellow.stamp = 0;
            }
        });
    }

    fn deadlock(&self, deadlock: &Deadlock, returned: bool) {
        if !self.ending.get() {
            let event = self.events.get();
            self.outcome.borrow_mut().deadlocks.push((deadlock.clone(), returned, event));
        }
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
