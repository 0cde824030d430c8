//! What is known of each task of an execution, and of each object.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::ptr::NonNull;
use std::time::Duration;

use corosensei::Coroutine;
use corosensei::stack::DefaultStack;

use super::NONE;
use crate::explore::clock::NOTHING;
use crate::explore::dependence::Touch;
use crate::explore::names::Known;
use crate::wait::explored::{Goes, Yielder};
use crate::wait::{Op, Resource, TaskId};

pub(super) type Fiber = Coroutine<Goes, (), (), DefaultStack>;

/// What a task does.
pub(super) type Body = Box<dyn FnOnce() + Send>;

/// How a task rests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rest {
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
pub(super) struct Pending {
    pub(super) op: Op,
    pub(super) touch: Touch,
    pub(super) towards: Option<*const dyn Resource>,
}

/// A task of this execution, or of an earlier one. What others change while it runs is in cells: nothing here is
/// ever borrowed for longer than it takes to read or to replace it.
///
/// One is found by a shift.
#[repr(align(512))]
pub(super) struct Fellow {
    pub(super) id: Cell<TaskId>,
    pub(super) rest: Cell<Rest>,
    /// Somebody unparked it while it did not park.
    pub(super) token: Cell<bool>,
    /// When its wait ends by time, if it does.
    pub(super) deadline: Cell<Option<Duration>>,
    pub(super) pending: Cell<Pending>,
    /// What has happened for it, as a place among the clocks.
    pub(super) clock: Cell<u32>,
    pub(super) last_event: Cell<u32>,
    pub(super) objects: Cell<u32>,
    pub(super) children: Cell<u32>,
    pub(super) refusals: Cell<u32>,
    /// It has panicked, and may be unwinding. (What the thread says of that is true of all its coroutines.)
    pub(super) panicked: Cell<bool>,
    /// Events that gave it work while it was about to look by itself.
    pub(super) needed_at: RefCell<Vec<u32>>,
    /// What it is to do, until it begins.
    pub(super) body: Cell<Option<Body>>,
    /// The coroutine, which stays where it is while it runs.
    pub(super) fiber: UnsafeCell<Option<Fiber>>,
    pub(super) yielder: Cell<Option<NonNull<Yielder>>>,
    /// The lowest address of its stack.
    pub(super) lowest: Cell<usize>,
    /// What this worker knows of the objects that it makes, whatever the execution.
    pub(super) made: RefCell<Vec<Seen>>,
    /// The numbers of the tasks that it starts, whatever the execution.
    pub(super) started: RefCell<Vec<u8>>,
}

impl Fellow {
    /// Before it is anybody's.
    pub(super) fn nobody() -> Self {
        Self {
            id: Cell::new(TaskId::NOBODY),
            rest: Cell::new(Rest::Ended),
            token: Cell::default(),
            deadline: Cell::default(),
            pending: Cell::new(Pending { op: Op::unasked(""), touch: Touch::NOTHING, towards: None }),
            clock: Cell::new(NOTHING),
            last_event: Cell::new(NONE),
            objects: Cell::default(),
            children: Cell::default(),
            refusals: Cell::default(),
            panicked: Cell::default(),
            needed_at: RefCell::default(),
            body: Cell::default(),
            fiber: UnsafeCell::default(),
            yielder: Cell::default(),
            lowest: Cell::default(),
            made: RefCell::default(),
            started: RefCell::default(),
        }
    }

    /// It is this task of a new execution, which has not run yet.
    pub(super) fn becomes(&self, id: TaskId, clock: u32, body: Body) {
        self.body.set(Some(body));
        self.id.set(id);
        self.rest.set(Rest::Ready);
        self.token.set(false);
        self.deadline.set(None);
        self.clock.set(clock);
        self.last_event.set(NONE);
        self.objects.set(0);
        self.children.set(0);
        self.refusals.set(0);
        self.panicked.set(false);
        self.needed_at.borrow_mut().clear();
    }
}

/// What this worker knows of an object.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) known: Known,
    pub(super) asked: bool,
    /// The one task that touches it, plus one, if nobody can tell when.
    pub(super) alone: u8,
    /// The kinds of touches whose time nobody can tell, whoever it is that touches it, as bits.
    pub(super) quiet: u32,
    /// Some of those, as the marks of its name.
    pub(super) marks: u64,
    /// The execution and the event that last touched it.
    pub(super) execution: u32,
    pub(super) last: u32,
}
