//! The ends that something has, and who holds them: who can still do what others wait for.
//!
//! An end that may go from task to task is *open*: anybody may come to have it, so a wait for what it can do counts as
//! live. An end that is *bound* is held by one task until it is let go, so the detector knows whom such a wait is for.
//! (Where types tell an owned promise from a shared one, who is to fulfil it is known: C. Voss and V. Sarkar, "An
//! Ownership Policy and Deadlock Detector for Promises", PPoPP 2021.)

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::platform;
use crate::wait::{self, Keep, Local, Providers, TaskId};

/// All ends of one side that have not been let go.
pub(crate) struct Ends(platform::Mutex<Inner>);

#[derive(Default)]
struct Inner {
    open: usize,
    bound: Vec<TaskId>,
    /// Some end has been let go.
    narrowed: bool,
}

/// What is left when an end has been let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nothing.
    Nothing,
    /// Ends that are all bound: a wait for them may be one for a deadlock now.
    Bound,
    /// Somebody may have one.
    Open,
}

impl Inner {
    fn left(&self) -> Left {
        match (self.open, &*self.bound) {
            (0, []) => Left::Nothing,
            (0, _) => Left::Bound,
            _ => Left::Open,
        }
    }
}

impl Ends {
    /// So many open ones.
    pub(crate) fn new(open: usize) -> Self {
        Self(platform::Mutex::new(Inner { open, ..Inner::default() }))
    }

    /// For a wait that any one of them can end.
    pub(crate) fn any(&self) -> Providers {
        let inner = self.0.lock();
        if inner.open > 0 { Providers::Open } else { Providers::Any(inner.bound.clone()) }
    }

    /// Whether some end has been let go.
    pub(crate) fn have_narrowed(&self) -> bool {
        self.0.lock().narrowed
    }

    /// For a wait that each of them has to end.
    pub(crate) fn all(&self) -> Providers {
        Providers::All(self.0.lock().bound.clone())
    }
}

/// An end of what stands at this address is `task`'s now. If that is not the calling task, whoever waits for it may be
/// stuck by that.
pub(crate) fn is_bound(task: TaskId, what: usize) {
    if task != wait::current_id() {
        wait::providers_changed(what);
    }
}

/// One of several ends.
pub(crate) struct Grip {
    /// The task that it is bound to, as a word, or 0.
    task: AtomicU64,
    let_go: AtomicBool,
}

impl Grip {
    /// An end that the ends were made with.
    pub(crate) const fn first() -> Self {
        Self { task: AtomicU64::new(0), let_go: AtomicBool::new(false) }
    }

    /// One more open end.
    pub(crate) fn another(ends: &Ends) -> Self {
        ends.0.lock().open += 1;
        Self::first()
    }

    /// The task that it is bound to.
    pub(crate) fn task(&self) -> Option<TaskId> {
        TaskId::from_word(self.task.load(Ordering::Relaxed))
    }

    /// It is this task's; returns whose it was.
    pub(crate) fn becomes(&self, task: TaskId) -> Option<TaskId> {
        TaskId::from_word(self.task.swap(task.word(), Ordering::Relaxed))
    }

    /// From now on the end is this task's.
    pub(crate) fn bind(&self, ends: &Ends, task: TaskId) {
        let mut inner = ends.0.lock();
        match self.becomes(task) {
            None => inner.open -= 1,
            Some(before) => inner.forget(before),
        }
        inner.bound.push(task);
    }

    /// Lets the end go; `false` if it has been let go before.
    pub(crate) fn lets_go(&self) -> bool {
        !self.let_go.swap(true, Ordering::Relaxed)
    }

    /// Lets the end go, and says what is left; or nothing if it has been let go before.
    pub(crate) fn let_go(&self, ends: &Ends) -> Option<Left> {
        if !self.lets_go() {
            return None;
        }
        let mut inner = ends.0.lock();
        inner.narrowed = true;
        match self.task() {
            None => inner.open -= 1,
            Some(task) => inner.forget(task),
        }
        Some(inner.left())
    }
}

impl Inner {
    fn forget(&mut self, task: TaskId) {
        let at = self.bound.iter().position(|other| *other == task);
        at.map(|at| self.bound.swap_remove(at)).expect("a bound end is noted");
    }
}

/// An end that a task can bind to itself, so that the detector knows who holds it: a [`Resolver`](super::Resolver), a
/// [`Sender`](super::channel::Sender), a [`Receiver`](super::channel::Receiver), a [`WaitGroup`](super::WaitGroup).
#[allow(private_interfaces, reason = "nobody else implements it")]
pub trait End: sealed::Sealed + Sized + 'static {
    /// From now on the end is this task's.
    #[doc(hidden)]
    fn bind(&self, task: TaskId);

    /// As if it were dropped.
    #[doc(hidden)]
    fn let_go(&self);

    /// Binds the end to the calling task, until what is returned is dropped or the task ends, whichever is first.
    fn hold(self) -> Held<Self> {
        Held::by(self, &wait::current())
    }
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// An end that is bound to the task that has it. It is let go when this is dropped, and at the latest when the task
/// ends, even if this was forgotten.
pub struct Held<E: End>(Rc<E>);

/// An end as its task keeps it.
struct Kept<E>(Rc<E>);

impl<E: End> Keep for Kept<E> {
    fn let_go(&self) {
        self.0.let_go();
    }

    fn place(&self) -> *const () {
        Rc::as_ptr(&self.0).cast()
    }
}

impl<E: End> Held<E> {
    /// Bound to `task`, which is the calling one.
    pub(crate) fn by(end: E, task: &Local) -> Self {
        end.bind(task.id);
        let end = Rc::new(end);
        task.keep(Box::new(Kept(end.clone())));
        Self(end)
    }
}

impl<E: End> Deref for Held<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.0
    }
}

impl<E: End> Drop for Held<E> {
    fn drop(&mut self) {
        wait::current().let_go_of(Rc::as_ptr(&self.0).cast());
    }
}

impl<E: End + fmt::Debug> fmt::Debug for Held<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.0).finish()
    }
}
