//! The one place that blocks.
//!
//! A wait goes through the door *before* anything is handed over: before the job is queued, before the run is
//! started. (Where coming is what the others wait for, at a barrier or a channel, a task comes first, and gives its place
//! up again if its wait is refused.) It
//! 1. publishes its edge,
//! 2. fences, so that of several waits that close a cycle together at least one sees the others,
//! 3. looks whether its providers wait too, and if so, whether it completes a deadlock (`verdict.rs`),
//! 4. lets the caller hand over and block,
//! 5. takes its edge back.
//!
//! A wait that would complete one does not get past 3: it returns the [`Deadlock`], and nothing was handed
//! over, so there is nothing to undo. Whatever blocks later finds this edge published and does the same check.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Std};
use std::time::{Duration, Instant};

use super::cancel::{Cancel, Cancelled, WaitError};
use super::deadlock::{self, Deadlock};
use super::lineage::Activation;
use super::op::Op;
use super::registry;
use super::resource::Resource;
use super::scheduler::{self, Access, Kind, Object, Stamp};
use super::task::{self, Local, Manner, Server, TaskId};
use super::verdict;
use crate::platform::atomic::{Ordering, fence};
use crate::platform::{self, Bug, UnsafeCell, Unseen, seeded};

/// A wait that somebody asks for.
pub(crate) struct Request<'a> {
    /// What for.
    pub(crate) resource: &'a dyn Resource,
    /// The words for it.
    pub(crate) op: Op,
    /// The activation that is waited for, if it is one: jobs that carry it are part of the awaited work.
    pub(crate) awaits: Option<Activation>,
    /// How to wait; as the task does, if nothing is said.
    pub(crate) manner: Option<Manner>,
    /// It ends by itself after a time: it is shown, and no verdict rests on it.
    pub(crate) timed: bool,
    pub(crate) terms: Terms,
    /// As what an explorer sees the wait come.
    pub(crate) arrival: Arrival,
}

/// Whether a wait can end without what it waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terms {
    /// With an error.
    Fallible,
    /// No: if it completes a deadlock, another wait of that one has to end, and no cancel ends it.
    Infallible,
    /// No, and no verdict rests on it.
    Unjudged,
}

/// As what an explorer sees a wait come. The arrival is the step; that the wait is granted later is a
/// consequence.
pub(crate) enum Arrival {
    /// It touches nothing that others could race for.
    Alone,
    /// With what the caller hands over, or with its place in a line.
    As(Access),
    /// The caller has taken the step already.
    Made,
}

impl<'a> Request<'a> {
    /// A wait as its task makes them.
    pub(crate) fn new(resource: &'a dyn Resource, op: Op) -> Self {
        Self {
            resource,
            op,
            awaits: None,
            manner: None,
            timed: false,
            terms: Terms::Fallible,
            arrival: Arrival::Alone,
        }
    }
}

/// A wait that others can see.
pub(super) struct Wait<'a> {
    pub(super) resource: &'a dyn Resource,
    pub(super) op: Op,
    /// What the task is in the middle of.
    pub(super) during: Option<Op>,
    pub(super) judged: bool,
    pub(super) fallible: bool,
    /// The activation that is waited for.
    pub(super) awaits: Option<Activation>,
    /// Jobs queued at this task can still be run.
    pub(super) serves: bool,
    /// Ends it, if it is on behalf of a run.
    pub(super) cancel: Option<Arc<Cancel>>,
    /// The deadlock that this wait has to leave, because the one that completed it could not.
    pub(super) verdict: Unseen<Option<(Deadlock, Stamp)>>,
    /// Nobody could leave the deadlock that it is part of, and that has been said.
    pub(super) given_up: AtomicBool,
    /// Nothing; loom checks the looks of others against the end of this record.
    alive: UnsafeCell<()>,
}

impl Wait<'_> {
    /// Whether the run on whose behalf this is has been cancelled.
    fn is_cancelled(&self) -> Option<Cancelled> {
        self.cancel.as_ref()?.refused()
    }

    /// Why it is to end without what it waits for, if it is.
    fn is_refused(&self) -> Option<WaitError> {
        let verdict = self.verdict.lock().clone();
        if let Some((deadlock, told)) = &verdict {
            told.witness();
            deadlock::announce(deadlock);
            return Some(deadlock.clone().into());
        }
        self.is_cancelled().map(WaitError::from)
    }

    /// Whether a verdict may rest on it: not if it has been told to leave, by a verdict or by a cancel, and whoever
    /// waits for its task only waits until it has.
    pub(super) fn counts(&self) -> bool {
        let is_called_off = || self.cancel.as_ref().is_some_and(|cancel| cancel.ends_waits());
        self.judged
            && self.verdict.lock().is_none()
            && !self.given_up.load(Std::Relaxed)
            && (!is_called_off() || seeded(Bug::CancelledCounts))
    }

    /// Another task looks at this record.
    pub(super) fn seen(&self) {
        self.alive.with(|_| ());
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.alive.with_mut(|_| ());
    }
}

/// Waits: `then` hands over and blocks, if the wait closes no cycle and is still wanted.
///
/// # Errors
///
/// The [`Deadlock`] that the wait would complete, or that its run was cancelled, before `then` is called; and
/// whatever `then` returns.
pub(crate) fn door<R, E: From<WaitError>>(
    request: Request<'_>,
    then: impl FnOnce(&Inside<'_>) -> Result<R, E>,
) -> Result<R, E> {
    door_of(&task::current(), request, then)
}

/// As [`door`], of `me`, which is the calling task.
///
/// # Errors
///
/// As `door`.
pub(crate) fn door_of<R, E: From<WaitError>>(
    me: &Rc<Local>,
    request: Request<'_>,
    then: impl FnOnce(&Inside<'_>) -> Result<R, E>,
) -> Result<R, E> {
    let arrived = match request.arrival {
        Arrival::Alone => scheduler::arrive(me, request.op, None, request.resource),
        Arrival::As(access) => scheduler::arrive(me, request.op, Some(access), request.resource),
        Arrival::Made => scheduler::still_goes_on(),
    };
    arrived.map_err(WaitError::from)?;
    let manner = request.manner.unwrap_or(me.manner.get());
    let serves = manner == Manner::Serving;
    let server = if serves { me.server.borrow().clone() } else { None };
    let wait = Wait {
        resource: request.resource,
        op: request.op,
        during: me.is_in(),
        judged: manner != Manner::Unjudged && request.terms != Terms::Unjudged && !request.timed,
        fallible: request.terms == Terms::Fallible,
        awaits: request.awaits,
        serves: server.is_some(),
        cancel: if request.terms == Terms::Fallible { me.behalf.cancel() } else { None },
        verdict: Unseen::new(None),
        given_up: AtomicBool::new(false),
        alive: UnsafeCell::new(()),
    };
    // Declared after the wait, so that on every way out the edge is gone before the record is.
    let inside = Inside { me, wait: &wait, server };
    enter(me, &wait)?;
    let _activated = Activated::new(me, request.awaits);
    then(&inside)
}

/// Publish, fence, look.
fn enter(me: &Local, wait: &Wait<'_>) -> Result<(), WaitError> {
    if !platform::DETECTS {
        return Ok(());
    }
    registry::publish(&me.record, wait);
    if !seeded(Bug::NoFence) {
        fence(Ordering::SeqCst);
    }
    if let Some(cancelled) = wait.is_cancelled() {
        registry::withdraw(&me.record);
        return Err(cancelled.into());
    }
    // The providers of one's own wait can be asked without a look, and nearly always they run.
    let seem_to_wait = |provider: &TaskId| registry::seems_to_wait(*provider);
    if !wait.resource.providers().are_stuck(seem_to_wait) || seeded(Bug::DetectorOff) {
        return Ok(());
    }
    if wait.judged {
        return verdict::on_own_wait(me, wait);
    }
    // Nobody is told, except the explorer.
    verdict::tell_explorer(me);
    Ok(())
}

/// Past the door: the edge is published until this is dropped.
pub(crate) struct Inside<'a> {
    me: &'a Rc<Local>,
    wait: &'a Wait<'a>,
    server: Option<Rc<dyn Server>>,
}

/// What a task waits for inside, as a question that can be asked again and again.
pub(crate) trait Awaited {
    /// What the wait returns.
    type Value;

    /// What was waited for, if it is there; if not, `waiter` is unparked when it is worth another try.
    fn poll(&self, waiter: TaskId) -> Option<Self::Value>;

    /// Whether it is worth another try.
    fn is_ready(&self) -> bool;

    /// `waiter` does something else for a while, and polls again after it.
    fn pause(&self, waiter: TaskId) {
        let _ = waiter;
    }

    /// What the others touch when it comes.
    fn object(&self) -> Object;

    /// As what they see a task that serves come to look. Where a look takes a place in a line, it is an arrival.
    fn look(&self) -> Kind {
        Kind::Look
    }
}

impl Inside<'_> {
    /// Blocks until `awaited` is there. Meanwhile a task that serves runs the jobs of the awaited work.
    ///
    /// # Errors
    ///
    /// The run on whose behalf the task waits was cancelled. And after a served job the task waits anew, and
    /// that wait may close a cycle.
    pub(crate) fn until<A: Awaited>(&self, awaited: &A) -> Result<A::Value, WaitError> {
        self.wait(awaited, None).map(|value| value.expect("a wait without a limit ends with its value"))
    }

    /// As [`until`](Self::until), for at most this long, or, if no time is given, until it ends for no reason;
    /// `None` if it was not there by then.
    ///
    /// Inside an exploration the time is up at any moment (then the wait is a look, and comes before or after
    /// the event), or only when nothing else can happen. Whoever leaves changes the `line` that it stood in.
    ///
    /// # Errors
    ///
    /// As `until`.
    pub(crate) fn until_timeout<A: Awaited>(
        &self,
        awaited: &A,
        line: Object,
        timeout: Option<Duration>,
    ) -> Result<Option<A::Value>, WaitError> {
        self.wait(awaited, Some(Limit { line, timeout }))
    }

    fn wait<A: Awaited>(&self, awaited: &A, limit: Option<Limit>) -> Result<Option<A::Value>, WaitError> {
        let server = self.server.as_deref();
        if let Some(cancel) = &self.wait.cancel {
            cancel.all().for_each(|cancel| awaited.object().is_ended_by(cancel.object));
        }
        let is_look = limit.as_ref().is_some_and(Limit::is_look);
        if let Some(limit) = &limit
            && is_look
        {
            awaited.object().observe_with(limit.line);
        }
        if let Some(server) = server {
            // What it does depends on whether its wait is over or a job comes first: it looks in a step.
            awaited.object().observe_with(server.object());
        }
        match is_look {
            true => awaited.object().arrive(self.wait.op, Kind::Look, self.wait.resource)?,
            // An arrival in a line is a look.
            false if server.is_some() && awaited.look() == Kind::Look => {
                awaited.object().step(self.wait.op, Kind::Look);
            }
            false => {}
        }
        let timeout = limit.and_then(|limit| limit.timeout);
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        if server.is_none() && !is_look && self.me.patience.may_pay(self.me.last_here(), || self.partner()) {
            // Before it says that it parks: whoever looks need not be woken.
            self.me.patience.pays(|| self.partner(), || awaited.is_ready());
        }
        // That it is wanted has been asked at the door.
        let mut was_asked = true;
        loop {
            if let Some(value) = awaited.poll(self.me.id) {
                return Ok(Some(value));
            }
            if !std::mem::take(&mut was_asked)
                && let Some(error) = self.wait.is_refused()
            {
                registry::withdraw(&self.me.record);
                return Err(error);
            }
            if let Some(server) = server.filter(|server| server.has_job(&self.me.awaited.borrow())) {
                self.serve(server, awaited)?;
            } else if is_look {
                return Ok(None);
            } else if let Some(timeout) = timeout {
                if self.me.park_until(deadline, timeout)? {
                    return Ok(awaited.poll(self.me.id));
                }
            } else {
                self.me.park()?;
            }
        }
    }

    /// On which processor whoever can end the wait was seen last.
    fn partner(&self) -> u32 {
        self.wait.resource.providers().alone().map_or(u32::MAX, task::processor_of)
    }

    /// Runs a job in the middle of this wait. Only the innermost wait of a task is an edge.
    ///
    /// The edge goes before the job is taken: a look that still met it would take this job for one that has
    /// begun and waits below, and the news that it is needed for a deadlock.
    fn serve<A: Awaited>(&self, server: &dyn Server, awaited: &A) -> Result<(), WaitError> {
        awaited.pause(self.me.id);
        if !seeded(Bug::ServeBehindEdge) {
            registry::withdraw(&self.me.record);
        }
        // A copy, since the job's own waits add to the list.
        let activations = self.me.awaited.borrow().clone();
        server.run_job(&activations);
        awaited.object().arrive(self.wait.op, awaited.look(), self.wait.resource)?;
        enter(self.me, self.wait)
    }
}

/// Blocks until `awaited` is there, which somebody is about to give, whatever has been cancelled: after a wait that has
/// been refused, too late.
///
/// # Errors
///
/// Inside an exploration, if the execution comes to its end.
pub(crate) fn surely<A: Awaited>(awaited: &A) -> Result<A::Value, WaitError> {
    let me = task::current();
    loop {
        if let Some(value) = awaited.poll(me.id) {
            return Ok(value);
        }
        me.park()?;
    }
}

/// When a wait ends without what was waited for.
struct Limit {
    /// What whoever leaves stood in.
    line: Object,
    /// After this long; for no reason, if there is none.
    timeout: Option<Duration>,
}

impl Limit {
    /// Whether the wait ends at any moment, so that it is a look at what is there.
    fn is_look(&self) -> bool {
        match (self.timeout, scheduler::timeouts_any_time()) {
            (None, _) | (_, Some(true)) => true,
            (Some(_), _) => false,
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if platform::DETECTS {
            registry::take_back(&self.me.record);
        }
    }
}

/// The activations awaited on this task's stack, one more of them while this lives.
struct Activated<'a>(&'a Local, bool);

impl<'a> Activated<'a> {
    fn new(me: &'a Local, activation: Option<Activation>) -> Self {
        if let Some(activation) = activation {
            me.awaited.borrow_mut().push(activation);
        }
        Self(me, activation.is_some())
    }
}

impl Drop for Activated<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.awaited.borrow_mut().pop();
        }
    }
}
