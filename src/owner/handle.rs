//! Calls and posts from anywhere.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::error::{CallError, Closed};
use super::job::{Job, Ticket, caught};
use super::mailbox::{Mailbox, Refused};
use super::main_loop::Frame;
use super::policy::WaitOnOwner;
use crate::platform::{Bug, seeded};
use crate::sync::{Abandoned, Reader, slot};
use crate::wait::{
    self, Activation, Arrival, IntoOp, Lineage, Local, Op, Request, Resource, Scope, Stamp, TaskId,
};

/// What an owner and its handles share.
pub(super) struct Shared<T> {
    /// Which owner a scope belongs to.
    pub(super) key: u64,
    pub(super) name: Arc<str>,
    pub(super) task: TaskId,
    pub(super) policy: WaitOnOwner,
    pub(super) mailbox: Mailbox<T>,
}

impl<T> Shared<T> {
    pub(super) fn closed(&self) -> Closed {
        Closed { owner: self.name.clone() }
    }
}

/// The way to an owner: clone it, send it, share it. The owner ends without waiting for its handles.
pub struct Handle<T: 'static>(Arc<Shared<T>>);

impl<T: 'static> Handle<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self(shared)
    }

    /// Runs `job` on the owner and waits for what it returns.
    ///
    /// From a job of this same owner, on its thread, it runs at once, inside that job: queueing it behind the
    /// one that waits for it could never end.
    ///
    /// # Errors
    ///
    /// [`CallError::Deadlock`] if the wait would close a cycle; the job was not queued. [`CallError::Closed`]
    /// if the owner is closed. [`CallError::Panicked`] if the job panicked; the owner lives on.
    ///
    /// # Blocking
    ///
    /// Until the job has run; the edge of the wait-for graph leads to the owner. On the thread of another
    /// owner whose policy is `Serve`, the jobs of the awaited work are run meanwhile.
    #[track_caller]
    pub fn call<R: Send + 'static>(
        &self,
        op: impl IntoOp,
        job: impl FnOnce(&T) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        let op = op.into_op();
        let me = wait::current();
        if let Some(scope) = self.scope(&me) {
            return self.inline(&me, scope, op, job);
        }
        let activation = Activation::begin();
        let (setter, reply) = slot(Some(self.0.task));
        let ticket = Arc::new(Ticket::default());
        let lineage = me.lineage.borrow().with(activation);
        let job = Job {
            op,
            lineage: lineage.clone(),
            sender: me.id,
            queued: Stamp::default(),
            ticket: Some(ticket.clone()),
            body: Box::new(move |state| setter.set(caught(op, || job(state)))),
        };
        let waited = Reply { reply: &reply, ticket: &ticket, lineage: &lineage, owner: &self.0 };
        let arrival = Arrival::As(self.0.mailbox.arrival());
        let request = Request { awaits: Some(activation), arrival, ..Request::new(&waited, op) };
        wait::door(request, |inside| {
            self.0.mailbox.push(job).map_err(|Refused| self.0.closed())?;
            match inside.until(&reply)? {
                Ok(result) => Ok(result?),
                Err(Abandoned) => Err(self.0.closed().into()),
            }
        })
    }

    /// Queues `job` and goes on. It never runs before this returns, not even on the owner thread; a panic of
    /// the job reaches nobody but the panic hook.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the owner is closed; the job was dropped.
    ///
    /// # Blocking
    ///
    /// Never waits for the owner.
    #[track_caller]
    pub fn post(&self, op: impl IntoOp, job: impl FnOnce(&T) + Send + 'static) -> Result<(), Closed> {
        if seeded(Bug::PostWaits) {
            return self.call(op, job).map_err(|_| self.0.closed());
        }
        let me = wait::current();
        let job = post(op.into_op(), me.lineage.borrow().clone(), me.id, job);
        self.0.mailbox.post(job).map_err(|Refused| self.0.closed())
    }

    /// Accepts nothing more. What was accepted still runs, then the owner ends.
    pub fn close(&self) {
        self.0.mailbox.close();
    }

    /// Whether the owner accepts nothing more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.mailbox.is_closed()
    }

    /// Whether the calling code runs inside a job of this owner, on its thread.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.scope(&wait::current()).is_some()
    }

    /// The owner's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What a wait on the owner thread does.
    #[must_use]
    pub fn policy(&self) -> WaitOnOwner {
        self.0.policy
    }

    /// The innermost job of this owner on the task's stack.
    fn scope(&self, me: &Local) -> Option<Scope> {
        me.scopes.borrow().iter().rev().find(|scope| scope.key == self.0.key).cloned()
    }

    fn inline<R>(
        &self,
        me: &Rc<Local>,
        scope: Scope,
        op: Op,
        job: impl FnOnce(&T) -> R,
    ) -> Result<R, CallError> {
        let frame = scope.data.downcast_ref::<Frame>().expect("an owner's scope holds its frame");
        let state = frame.state.clone().downcast::<T>().expect("an owner's frame holds its state");
        let lineage = me.lineage.borrow().clone();
        Ok(me.within(Scope { op, ..scope }, lineage, || caught(op, || job(&state)))?)
    }

    /// Promises one post that the owner will take even if it is closed meanwhile.
    pub(crate) fn reserve(&self, op: Op) -> Result<Reservation<T>, Closed> {
        self.0.mailbox.owe(op).map_err(|Refused| self.0.closed())?;
        Ok(Reservation(Some(self.0.clone())))
    }
}

fn post<T>(op: Op, lineage: Lineage, sender: TaskId, job: impl FnOnce(&T) + Send + 'static) -> Job<T> {
    let body = Box::new(move |state: &T| {
        // The panic hook has told what there was to tell.
        let _ = caught(op, || job(state));
    });
    Job { op, lineage, sender, queued: Stamp::default(), ticket: None, body }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("owner", &self.0.name).finish_non_exhaustive()
    }
}

/// The reply that a caller waits for.
struct Reply<'a, T, V> {
    reply: &'a Reader<V>,
    ticket: &'a Ticket,
    lineage: &'a Lineage,
    owner: &'a Shared<T>,
}

impl<T, V: Send> Resource for Reply<'_, T, V> {
    fn provider(&self) -> Option<TaskId> {
        self.reply.provider()
    }

    fn name(&self) -> String {
        format!("a job on owner `{}`", self.owner.name)
    }

    fn remark(&self, provider_is_in: Op) -> Option<String> {
        Some(format!("the job would be queued behind the one that waits ({})", provider_is_in.label))
    }

    fn is_served(&self, awaited: Option<Activation>) -> bool {
        let belongs = awaited.is_some_and(|awaited| self.lineage.descends_from(&[awaited]));
        belongs && !self.owner.mailbox.has_begun(self.ticket)
    }

    fn hand_over(&self) -> bool {
        self.owner.mailbox.need(self.ticket)
    }
}

/// The right to one post, whether the owner is closed meanwhile or not. Until it is used or dropped, the owner
/// does not end.
pub(crate) struct Reservation<T: 'static>(Option<Arc<Shared<T>>>);

impl<T> Reservation<T> {
    /// Queues the job that was promised.
    pub(crate) fn post(mut self, op: Op, job: impl FnOnce(&T) + Send + 'static) {
        if let Some(shared) = self.0.take() {
            let me = wait::current();
            let job = post(op, me.lineage.borrow().clone(), me.id, job);
            shared.mailbox.keep(Some(job));
        }
    }
}

impl<T> Drop for Reservation<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.mailbox.keep(None);
        }
    }
}
