//! A place where tasks wait for each other.

use std::fmt;
use std::sync::Arc;

use super::ends::{End, Grip, Held, is_bound, sealed};
use super::line::Line;
use super::made::Made;
use crate::platform::{self, Bug, seeded};
use crate::wait::{
    self, Arrival, IntoOp, Kind, Object, Op, Providers, Request, Resource, TaskId, Terms, WaitError,
};

/// A barrier for a number of tasks: all wait until that many do.
///
/// Any task may be the one that is missing, so the wait counts as live. Where it is known who takes part, make
/// [`parties`](Self::parties) and bind them.
///
/// ```
/// use impasse::sync::Barrier;
/// let barrier = Barrier::new(2);
/// impasse::thread::scope(|scope| {
///     let other = scope.spawn(|| barrier.wait().is_leader());
///     assert!(barrier.wait().is_leader() != other.join().unwrap());
/// });
/// ```
pub struct Barrier(Arc<Core>);

struct Core {
    made: Made,
    object: Object,
    state: platform::Mutex<State>,
}

struct State {
    many: usize,
    round: u64,
    arrived: usize,
    waiting: Line<()>,
    /// Tasks that parties are bound to, and of those, who has not arrived.
    bound: Vec<TaskId>,
    missing: Vec<TaskId>,
}

/// What [`Barrier::wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether this task was the last to arrive. One in each round is.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

impl Barrier {
    /// A barrier for so many tasks. Reports call it by this line.
    #[track_caller]
    #[must_use]
    pub fn new(tasks: usize) -> Self {
        Self(Core::new(tasks, "".into_op()))
    }

    /// A barrier for so many tasks, each of which gets one of the parties that are returned. While parties are bound
    /// to their tasks, the detector knows for whom the others wait: if one of those is stuck, it is a deadlock.
    #[track_caller]
    #[must_use]
    pub fn parties(tasks: usize) -> Vec<Party> {
        let core = Core::new(tasks, "".into_op());
        (0..tasks).map(|_| Party { core: core.clone(), task: Grip::first() }).collect()
    }

    /// Waits until as many tasks as the barrier is for have called this.
    ///
    /// # Panics
    ///
    /// If the run on whose behalf the task waits is cancelled, it unwinds without a word.
    ///
    /// # Blocking
    ///
    /// Until the last has arrived. The wait is shown, and counts as live.
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        let op = "barrier.wait".into_op();
        wait::insist(|terms| self.0.wait(None, op, terms))
    }

    /// As [`wait`](Self::wait), with an error to return.
    ///
    /// # Errors
    ///
    /// [`WaitError::Cancelled`] if the run on whose behalf the task waits is cancelled: it has not arrived then.
    #[track_caller]
    pub fn checked_wait(&self) -> Result<BarrierWaitResult, WaitError> {
        self.0.wait(None, "barrier.wait".into_op(), Terms::Fallible)
    }
}

impl Core {
    fn new(many: usize, made: Op) -> Arc<Self> {
        let state = State {
            many,
            round: 0,
            arrived: 0,
            waiting: Line::default(),
            bound: Vec::new(),
            missing: Vec::new(),
        };
        Arc::new(Self { made: Made::at(made), object: Object::new(), state: platform::Mutex::new(state) })
    }

    fn wait(&self, party: Option<TaskId>, op: Op, terms: Terms) -> Result<BarrierWaitResult, WaitError> {
        let missing = Missing { core: self, me: party, round: None };
        self.object.arrive(op, Kind::Store, &missing)?;
        if seeded(Bug::ComingWaits) {
            wait::door(Request { arrival: Arrival::Made, ..Request::new(&missing, op) }, |_| {
                Ok::<_, WaitError>(())
            })?;
        }
        let mut state = self.state.lock();
        state.arrived += 1;
        if state.arrived >= state.many {
            let all = state.next_round();
            drop(state);
            all.for_each(|waiting| waiting.set(()));
            return Ok(BarrierWaitResult(true));
        }
        if let Some(at) = party.and_then(|party| state.missing.iter().position(|task| *task == party)) {
            state.missing.swap_remove(at);
        }
        let missing = Missing { round: Some(state.round), ..missing };
        let place = state.waiting.join(None);
        drop(state);
        // After it has arrived: two who come at once do not wait for each other.
        let request = Request { arrival: Arrival::Made, terms, ..Request::new(&missing, op) };
        let passed = wait::door(request, |inside| inside.until(&place.given)).map(drop);
        passed.or_else(|error| {
            let mut state = self.state.lock();
            let left = state.waiting.leave(&place);
            if left.is_some() {
                state.arrived -= 1;
                state.missing.extend(party);
            }
            drop(state);
            if left.is_some() { Err(error) } else { wait::surely(&place.given).map(drop) }
        })?;
        Ok(BarrierWaitResult(false))
    }
}

/// Those who have not arrived.
struct Missing<'a> {
    core: &'a Core,
    me: Option<TaskId>,
    /// The round in which the task has arrived, if it has.
    round: Option<u64>,
}

impl Resource for Missing<'_> {
    fn providers(&self) -> Providers {
        let state = self.core.state.lock();
        let is_live = match self.round {
            // The last to arrive waits for nobody.
            None => state.arrived + 1 >= state.many,
            // Nor does anybody once all have arrived, whoever is missing in the next round.
            Some(round) => round != state.round && !seeded(Bug::GrantedWaits),
        };
        if is_live {
            return Providers::Open;
        }
        Providers::All(state.missing.iter().copied().filter(|task| Some(*task) != self.me).collect())
    }

    fn is_about(&self, what: usize) -> bool {
        std::ptr::from_ref(self.core).addr() == what
    }

    fn name(&self) -> String {
        format!("the others at {}", self.core.made.name("barrier"))
    }
}

/// The right of one task to take part in a [`Barrier`]. Dropped, it is waited for no more. It counts for the detector
/// when it is bound: by [`End::hold`], or from birth by [`thread::spawn_with`](crate::thread::spawn_with).
pub struct Party {
    core: Arc<Core>,
    task: Grip,
}

impl Held<Party> {
    /// Waits for all other parties.
    ///
    /// # Errors
    ///
    /// [`WaitError::Deadlock`] if a party that is missing is bound to a task that waits, directly or through others, for
    /// this one; [`WaitError::Cancelled`] as [`Barrier::checked_wait`].
    ///
    /// # Blocking
    ///
    /// Until the last has arrived; edges lead to all who are missing and bound.
    #[track_caller]
    pub fn wait(&self) -> Result<BarrierWaitResult, WaitError> {
        self.core.wait(self.task.task(), "barrier.wait".into_op(), Terms::Fallible)
    }
}

impl sealed::Sealed for Party {}

#[allow(private_interfaces, reason = "nobody else implements it")]
impl End for Party {
    fn bind(&self, task: TaskId) {
        let mut state = self.core.state.lock();
        self.task.becomes(task).into_iter().for_each(|before| state.forget(before));
        state.bound.push(task);
        state.missing.push(task);
        drop(state);
        is_bound(task, std::ptr::from_ref(&*self.core).addr());
    }

    fn let_go(&self) {
        if !self.task.lets_go() {
            return;
        }
        self.core.object.step(Op::unasked("leave the barrier"), Kind::Store);
        let mut state = self.core.state.lock();
        self.task.task().into_iter().for_each(|task| state.forget(task));
        state.many -= 1;
        let is_last = state.arrived > 0 && state.arrived >= state.many;
        let all = is_last.then(|| state.next_round());
        drop(state);
        all.into_iter().flatten().for_each(|waiting| waiting.set(()));
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.let_go();
    }
}

impl State {
    /// All have arrived: those who wait for it.
    fn next_round(&mut self) -> Line<()> {
        self.arrived = 0;
        self.round += 1;
        self.missing = self.bound.clone();
        std::mem::take(&mut self.waiting)
    }

    fn forget(&mut self, task: TaskId) {
        for tasks in [&mut self.bound, &mut self.missing] {
            if let Some(at) = tasks.iter().position(|other| *other == task) {
                tasks.swap_remove(at);
            }
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("name", &self.0.made.name("barrier")).finish_non_exhaustive()
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party").field("of", &self.core.made.name("barrier")).finish_non_exhaustive()
    }
}
