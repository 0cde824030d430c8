//! What is known of each task of an execution, and of each object.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::time::Duration;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, Yielder};

use super::NONE;
use crate::explore::clock::Clock;
use crate::explore::dependence::Touch;
use crate::explore::names::Known;
use crate::wait::explored::Held;
use crate::wait::{Op, Resource, TaskId};

type Fiber = Coroutine<(), (), (), DefaultStack>;

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

/// A task as a coroutine. It stays where it is while it runs.
#[derive(Default)]
pub(super) struct Body {
    pub(super) fiber: UnsafeCell<Option<Fiber>>,
    pub(super) held: RefCell<Held>,
    /// The lowest address of its stack.
    pub(super) lowest: Cell<usize>,
}

pub(super) struct Fellow {
    pub(super) id: TaskId,
    pub(super) yielder: *const Yielder<(), ()>,
    pub(super) rest: Rest,
    /// Somebody unparked it while it did not park.
    pub(super) token: bool,
    /// When its wait ends by time, if it does.
    pub(super) deadline: Option<Duration>,
    pub(super) pending: Pending,
    pub(super) clock: Clock,
    /// The last stamp given for this clock, while the clock stays as it is.
    pub(super) stamp: u32,
    pub(super) last_event: u32,
    pub(super) objects: u32,
    pub(super) children: u32,
    pub(super) refusals: u32,
    /// Events that gave it work while it was about to look by itself.
    pub(super) needed_at: Vec<u32>,
}

impl Fellow {
    /// Before it is anybody's.
    pub(super) fn nobody() -> Self {
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
pub(super) struct Seen {
    pub(super) known: Known,
    pub(super) asked: bool,
    /// The execution and the event that last touched it.
    pub(super) execution: u32,
    pub(super) last: u32,
}
