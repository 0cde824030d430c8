//! Waiting until a number of tasks, which may still grow, is through.

use std::fmt;
use std::sync::Arc;

use super::ends::{End, Ends, Grip, Left, is_bound, sealed};
use super::line::Line;
use super::made::Made;
use crate::platform;
use crate::wait::{
    self, Arrival, IntoOp, Kind, Object, Op, Providers, Request, Resource, TaskId, Terms, WaitError,
};

/// One of a group: [`wait`](Self::wait) waits until all others have been dropped. As `crossbeam`'s.
///
/// Clones that are bound to their tasks are known to the detector: if one of those tasks is stuck because this one
/// waits, it is a deadlock.
///
/// ```
/// let group = impasse::sync::WaitGroup::new();
/// let one = group.clone();
/// impasse::thread::spawn_with(one, |_one| { /* works */ });
/// group.wait();
/// ```
pub struct WaitGroup {
    core: Arc<Core>,
    grip: Grip,
}

struct Core {
    made: Made,
    object: Object,
    ends: Ends,
    waiting: platform::Mutex<(Line<()>, bool)>,
}

impl WaitGroup {
    /// A group of one. Reports call it by this line.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        let core = Core {
            made: Made::at("".into_op()),
            object: Object::new(),
            ends: Ends::new(1),
            waiting: platform::Mutex::new((Line::default(), false)),
        };
        Self { core: Arc::new(core), grip: Grip::first() }
    }

    /// Leaves the group and waits until all others have left it.
    ///
    /// # Panics
    ///
    /// With the report if the wait would complete a deadlock: see [`on_unreturnable`](crate::wait::on_unreturnable).
    ///
    /// # Blocking
    ///
    /// Until the last clone is dropped; edges lead to all tasks that clones are bound to.
    #[track_caller]
    pub fn wait(self) {
        let op = "wait_group.wait".into_op();
        self.let_go();
        wait::insist(|terms| self.core.wait(op, terms));
    }

    /// As [`wait`](Self::wait), with an error to return.
    ///
    /// # Errors
    ///
    /// [`WaitError::Deadlock`] if a clone is bound to a task that waits, directly or through others, for the calling
    /// one; [`WaitError::Cancelled`] if the run on whose behalf the task waits is cancelled.
    #[track_caller]
    pub fn checked_wait(self) -> Result<(), WaitError> {
        let op = "wait_group.wait".into_op();
        self.let_go();
        self.core.wait(op, Terms::Fallible)
    }
}

impl Core {
    fn wait(&self, op: Op, terms: Terms) -> Result<(), WaitError> {
        let arrival = Arrival::As(self.object.access(Kind::Store));
        let request = Request { arrival, terms, ..Request::new(self, op) };
        wait::door(request, |inside| {
            let mut waiting = self.waiting.lock();
            if waiting.1 {
                return Ok(());
            }
            let place = waiting.0.join(None);
            drop(waiting);
            let ended = inside.until(&place.given).map(drop);
            if ended.is_err() {
                let left = self.waiting.lock().0.leave(&place);
                drop(left);
            }
            ended
        })
    }
}

impl Resource for Core {
    fn providers(&self) -> Providers {
        self.ends.all()
    }

    fn is_about(&self, what: usize) -> bool {
        std::ptr::from_ref(self).addr() == what
    }

    fn name(&self) -> String {
        format!("the others of {}", self.made.name("wait group"))
    }
}

impl Default for WaitGroup {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

/// One more of the group.
impl Clone for WaitGroup {
    fn clone(&self) -> Self {
        self.core.object.step(Op::unasked("join the group"), Kind::Store);
        Self { core: self.core.clone(), grip: Grip::another(&self.core.ends) }
    }
}

impl Drop for WaitGroup {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl sealed::Sealed for WaitGroup {}

#[allow(private_interfaces, reason = "nobody else implements it")]
impl End for WaitGroup {
    fn bind(&self, task: TaskId) {
        self.grip.bind(&self.core.ends, task);
        is_bound(task, std::ptr::from_ref(&*self.core).addr());
    }

    fn let_go(&self) {
        self.core.object.step(Op::unasked("leave the group"), Kind::Store);
        if self.grip.let_go(&self.core.ends) == Some(Left::Nothing) {
            let mut waiting = self.core.waiting.lock();
            waiting.1 = true;
            let all = std::mem::take(&mut waiting.0);
            drop(waiting);
            all.for_each(|waiting| waiting.set(()));
        }
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("name", &self.core.made.name("wait group")).finish_non_exhaustive()
    }
}
