//! Calls and posts from anywhere.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::about::About;
use super::asynchronous::Answer;
use super::error::{CallError, Closed, Panicked, PostError, Unrun};
use super::job::{Call, Errand, Kept, Sent};
use super::mailbox::{Queued, Refused, Room, Stands};
use super::main_loop::Runner;
use super::policy::WaitOnOwner;
use super::shared::Shared;
use super::ticket::Mine;
use super::waits::{Idle, ReplyTo, RoomIn};
use super::work::{Post, fits};
use crate::platform::{Bug, seeded};
use crate::sync::{Abandoned, End, Held, Reader, Slot};
use crate::wait::{
    self, Access, Activation, Arrival, Cancel, Inside, IntoOp, Kind, Lineage, Local, Manner, Op, Request,
    WaitError,
};

/// The way to an owner: clone it, send it, share it. The owner ends without waiting for its handles.
pub struct Handle<T: 'static>(pub(super) Arc<Shared<T>>);

impl<T: 'static> Handle<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self(shared)
    }

    /// Runs `job` on the owner and waits for what it returns.
    ///
    /// From a job of this same owner, on its thread, it runs at once, inside that job, to any depth: queueing it
    /// behind the one that waits for it could never end. A thread that only acts on behalf of such a job queues.
    ///
    /// # Errors
    ///
    /// [`CallError::Deadlock`] if the wait would close a cycle; the job does not run. [`CallError::Closed`]
    /// if the owner is closed. [`CallError::Panicked`] if the job panicked; the owner lives on.
    /// [`CallError::Cancelled`] if the run on whose behalf the caller waits is cancelled.
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
        self.call_within(op.into_op(), None, job)
    }

    /// As [`call`](Self::call), for at most this long, counted from now. A job that has not begun by then does not
    /// run, and is dropped here. One that has begun runs to its end, and its result is dropped.
    ///
    /// # Errors
    ///
    /// [`CallError::TimedOut`]; and as `call`. Never a deadlock: a wait that ends by itself closes no cycle.
    ///
    /// # Blocking
    ///
    /// As `call`, and no verdict rests on the wait.
    #[track_caller]
    pub fn call_timeout<R: Send + 'static>(
        &self,
        op: impl IntoOp,
        timeout: Duration,
        job: impl FnOnce(&T) -> R + Send + 'static,
    ) -> Result<R, CallError> {
        self.call_within(op.into_op(), Some(timeout), job)
    }

    fn call_within<R: Send + 'static, F: FnOnce(&T) -> R + Send + 'static>(
        &self,
        op: Op,
        timeout: Option<Duration>,
        job: F,
    ) -> Result<R, CallError> {
        let me = wait::current();
        if self.is_in_job(&me) {
            return Runner::run_inline(&me, op, job).map_err(|panicked| (*panicked).into());
        }
        let activation = Activation::begin();
        let call = self.errand(&me, activation, job);
        let reply = Reader(call);
        let waited = ReplyTo { reply: &reply, owner: &self.0 };
        if timeout.is_some() {
            // Whether the job has begun when the time is up can be told.
            self.0.mailbox.object().observe();
        }
        let arrival = Arrival::As(self.0.mailbox.arrival());
        let timed = timeout.is_some();
        let request = Request { awaits: Some(activation), arrival, timed, ..Request::new(&waited, op) };
        wait::door_of(&me, request, |inside| {
            me.seen_here();
            self.0.mailbox.called_from(me.last_here());
            let sent = Sent::new(op, me.id, reply.0.clone());
            self.0.mailbox.push(sent).map_err(|_| self.0.closed())?;
            let answer = match timeout {
                None => inside.until(&reply).map(Some),
                Some(timeout) => inside.until_timeout(&reply, self.0.mailbox.object(), Some(timeout)),
            };
            match (answer, timeout) {
                (Ok(Some(Ok(result))), _) => result.map_err(|panicked| (*panicked).into()),
                (Ok(Some(Err(Abandoned))), _) => Err(self.0.closed().into()),
                (Ok(None), timeout) => {
                    reply.0.extra.leave();
                    let timeout = timeout.unwrap_or_default();
                    Err(CallError::TimedOut { owner: self.0.name.clone(), timeout })
                }
                (Err(error), _) => {
                    reply.0.extra.leave();
                    Err(error.into())
                }
            }
        })
    }

    /// A call on behalf of whatever the caller acts for.
    #[inline(always)]
    fn errand<R, F>(&self, me: &Local, activation: Activation, job: F) -> Arc<Call<R, F>> {
        Slot::shared(Some(self.0.task), || Errand::new(me.behalf.with(activation, None), job))
    }

    /// Queues `job` at once, even from a job of this owner, and returns a future of what it returns. Dropped before
    /// the job has begun, it takes the job back.
    ///
    /// The future is woken by the owner, under any executor. Waiting for it is no wait of the calling thread, so
    /// the detector does not see it: a job that blocks its owner on such a future hangs.
    ///
    /// ```
    /// # async fn example(vm: impasse::Handle<i32>) -> Result<(), impasse::CallError> {
    /// assert_eq!(vm.call_async("look", |n| *n).await?, 42);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The future gives [`CallError::Closed`] and [`CallError::Panicked`], as [`call`](Self::call).
    ///
    /// # Blocking
    ///
    /// Never.
    #[track_caller]
    pub fn call_async<R: Send + 'static>(
        &self,
        op: impl IntoOp,
        job: impl FnOnce(&T) -> R + Send + 'static,
    ) -> Answer<R> {
        let (op, me) = (op.into_op(), wait::current());
        let call = self.errand(&me, Activation::begin(), job);
        // Whether the job has begun when the future is dropped can be told.
        self.0.mailbox.object().observe();
        self.0.mailbox.object().step(op, Kind::Post);
        // A job that is refused is dropped, and tells its caller.
        let _ = self.0.mailbox.push(Sent::new(op, me.id, call.clone()));
        Answer::new(call, self.0.mailbox.object(), self.0.closed())
    }

    /// Queues `job` and goes on. It never runs before this returns, not even on the owner thread, unlike a call from
    /// there: whoever posts goes on first, so what it does next is not in the middle of what it asked for. A panic
    /// of the job reaches the panic hook, and whoever the owner was built to tell.
    ///
    /// # Errors
    ///
    /// [`PostError::Closed`] if the owner is closed, [`PostError::Full`] if it has no room; the job was dropped.
    ///
    /// # Blocking
    ///
    /// Never waits for the owner.
    #[track_caller]
    #[inline]
    pub fn post(&self, op: impl IntoOp, job: impl FnOnce(&T) + Send + 'static) -> Result<(), PostError> {
        if seeded(Bug::PostWaits) {
            return self.call(op, job).map_err(|_| self.0.closed().into());
        }
        let (op, (sender, lineage)) = (op.into_op(), wait::current_sender());
        let queued = if fits(&job) {
            self.0.mailbox.post(op, lineage, sender, Post(job))
        } else {
            // Not in the queue's lock: it is a matter of the allocator's.
            self.0.mailbox.post(op, lineage, sender, Box::new(Post(job)))
        };
        queued.map_err(|refused| self.0.refusal(&refused))
    }

    /// As [`post`](Self::post), for a job that is to resolve a promise, send on a channel, and the like: from the moment
    /// at which it is queued the detector knows that this owner alone can do that. On an owner that serves while it
    /// waits, from the moment at which the job begins: until then another wait may be what runs it.
    ///
    /// ```
    /// # let owner = impasse::Owner::builder("vm").spawn(|| 42)?;
    /// let (answer, resolver) = impasse::sync::promise();
    /// owner.handle().post_with("answer", resolver, |state, held| held.resolve(*state))?;
    /// assert_eq!(answer.wait()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As `post`; the end was let go.
    ///
    /// # Blocking
    ///
    /// Never waits for the owner.
    #[track_caller]
    pub fn post_with<E: End + Send>(
        &self,
        op: impl IntoOp,
        end: E,
        job: impl FnOnce(&T, Held<E>) + Send + 'static,
    ) -> Result<(), PostError> {
        if self.0.policy != WaitOnOwner::Serve {
            end.bind(self.0.task);
        }
        self.post(op.into_op(), move |state| job(state, Held::by(end, &wait::current())))
    }

    /// As [`post`](Self::post). The job does not run if this long has passed before it begins; then the hook of
    /// [`Builder::on_unrun`](crate::OwnerBuilder::on_unrun) is told.
    ///
    /// # Errors
    ///
    /// As `post`.
    ///
    /// # Blocking
    ///
    /// Never waits for the owner.
    #[track_caller]
    pub fn post_within(
        &self,
        op: impl IntoOp,
        timeout: Duration,
        job: impl FnOnce(&T) + Send + 'static,
    ) -> Result<(), PostError> {
        let op = op.into_op();
        // No deadline beyond the end of the clock.
        let deadline = wait::now().checked_add(timeout);
        let shared = self.0.clone();
        self.post(op, move |state| {
            if deadline.is_some_and(|deadline| wait::now() > deadline) {
                drop(job);
                shared.will_not_run(op, Unrun::Expired);
            } else {
                job(state);
            }
        })
    }

    /// As [`post`](Self::post), waiting until there is room. Without a [capacity](crate::OwnerBuilder::capacity)
    /// there always is.
    ///
    /// # Errors
    ///
    /// [`PostError::Closed`]. [`PostError::Deadlock`] if the wait would close a cycle: always, if a job of this
    /// owner would have to wait. [`PostError::Cancelled`] if the run on whose behalf the caller waits is cancelled.
    ///
    /// # Blocking
    ///
    /// Until the owner has taken enough of the jobs before; the edge leads to the owner.
    #[track_caller]
    pub fn post_wait(&self, op: impl IntoOp, job: impl FnOnce(&T) + Send + 'static) -> Result<(), PostError> {
        let (op, me) = (op.into_op(), wait::current());
        if self.0.mailbox.capacity.is_none() {
            return self.post(op, job);
        }
        let lineage = Lineage::current();
        let waited = RoomIn { owner: &self.0, lineage: &lineage, job: None };
        self.0.mailbox.object().arrive(op, Kind::Post, &waited)?;
        let about = About::new(op, me.behalf.shared(), me.id);
        let job = match self.0.mailbox.post_if_room(&about, Post(job)) {
            Ok(()) => return Ok(()),
            Err((Refused::Full, Post(job))) => job,
            Err((refused @ Refused::Closed, _)) => return Err(self.0.refusal(&refused)),
        };
        let kept: Arc<dyn Kept<T>> = Arc::new(Errand::new(lineage.clone(), job));
        let waited = RoomIn { job: Some(&kept), ..waited };
        let manner = (me.id == self.0.task).then_some(Manner::Judged);
        let request = Request { manner, arrival: Arrival::Made, ..Request::new(&waited, op) };
        wait::door(request, |inside| {
            let queued = self.0.mailbox.push_or_wait(Sent::new(op, me.id, kept.clone()), &kept);
            match queued.map_err(|refused| self.0.refusal(&refused))? {
                Queued::Yes => Ok(()),
                Queued::Waiting(room) => self.wait_for_room(inside, &room, &kept),
            }
        })
    }

    fn wait_for_room(
        &self,
        inside: &Inside<'_>,
        room: &Room,
        job: &Arc<dyn Kept<T>>,
    ) -> Result<(), PostError> {
        let given = inside.until(&room.given).or_else(|error| match self.0.mailbox.leave_room(job) {
            Mine::Yes => {
                job.abandon();
                Err(PostError::from(error))
            }
            // What was accepted meanwhile was accepted.
            Mine::No => Ok(wait::surely(&room.given)?),
        })?;
        given.map_err(|Abandoned| self.0.closed().into())
    }

    /// Waits until the owner has nothing to do: no job runs and none is queued.
    ///
    /// # Errors
    ///
    /// [`WaitError::Deadlock`] if the owner waits, directly or through others, for the calling task; always from a
    /// job of the owner itself. [`WaitError::Cancelled`] if the run on whose behalf the caller waits is cancelled.
    ///
    /// # Blocking
    ///
    /// Until the owner finds no job; the edge leads to the owner. It is woken, it does not poll.
    #[track_caller]
    pub fn wait_idle(&self) -> Result<(), WaitError> {
        let idle = Idle { owner: &self.0, stands: Stands::default() };
        let is_owner = wait::current().id == self.0.task;
        let arrival = Arrival::As(self.0.mailbox.idle_arrival());
        let manner = is_owner.then_some(Manner::Judged);
        let request = Request { arrival, manner, ..Request::new(&idle, "wait_idle".into_op()) };
        wait::door(request, |inside| {
            let Some(place) = self.0.mailbox.join_idle(&idle.stands) else { return Ok(()) };
            inside
                .until(&place.given)
                // An owner that is gone has nothing to do.
                .map(|given| given.unwrap_or(()))
                .inspect_err(|_| self.0.mailbox.leave(Some(&place), None))
        })
    }

    /// Accepts nothing more. What was accepted still runs, then the owner ends. Runs of its sessions are cancelled.
    pub fn close(&self) {
        self.0.mailbox.close();
    }

    /// Accepts nothing more, and runs nothing more but the job that goes on. Callers whose jobs have not begun get
    /// [`CallError::Closed`]; posts are told to the hook of [`Builder::on_unrun`](crate::OwnerBuilder::on_unrun).
    /// Runs of its sessions are cancelled.
    pub fn close_now(&self) {
        let refused = self.0.mailbox.close_now();
        self.0.refuse(refused);
    }

    /// Whether the owner accepts nothing more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.mailbox.is_closed()
    }

    /// How many jobs are queued, at this moment: accepted and not begun.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.mailbox.len()
    }

    /// Whether no job is queued, at this moment. One may run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the calling code runs inside a job of this owner, on its thread.
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.is_in_job(&wait::current())
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

    /// Whether the task is this owner, in a job.
    #[inline]
    fn is_in_job(&self, me: &Local) -> bool {
        me.id == self.0.task && me.is_in_job()
    }

    /// The step with which a run of a session of this owner begins.
    pub(crate) fn arrival(&self) -> Access {
        self.0.mailbox.object().access(Kind::Owe)
    }

    /// Takes that step, if nobody waits for the run.
    pub(crate) fn arrive(&self, op: Op) {
        self.0.mailbox.object().step(op, Kind::Owe);
    }

    /// A run of a session of this owner begins, whose step has been taken.
    pub(crate) fn enrol(&self, run: &Arc<Cancel>) -> Result<(), Closed> {
        self.0.mailbox.enrol(run).map_err(|_| self.0.closed())
    }

    /// That run has ended.
    pub(crate) fn dismiss(&self, run: &Arc<Cancel>) {
        self.0.mailbox.dismiss(run);
    }

    /// What is said where it is closed.
    pub(crate) fn closed(&self) -> Closed {
        self.0.closed()
    }

    /// How the owner ended, if it has.
    pub(super) fn how_it_ended(&self) -> Option<Result<(), Panicked>> {
        self.0.mailbox.how_it_ended()
    }

    /// Promises one post that the owner will take even if it is closed meanwhile.
    pub(crate) fn reserve(&self, op: Op) -> Result<Reservation<T>, Closed> {
        self.0.mailbox.owe(op).map_err(|_| self.0.closed())?;
        Ok(Reservation(Some(self.0.clone())))
    }
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

/// The right to one post, whether the owner is closed meanwhile or not. Until it is used or dropped, the owner
/// does not end, unless it was closed with the wish that nothing more runs.
pub(crate) struct Reservation<T: 'static>(Option<Arc<Shared<T>>>);

impl<T> Reservation<T> {
    /// Queues the job that was promised.
    pub(crate) fn post(mut self, op: Op, job: impl FnOnce(&T) + Send + 'static) {
        if let Some(shared) = self.0.take() {
            let me = wait::current();
            if let Err(unrun) = shared.mailbox.keep(op, me.behalf.shared(), me.id, Post(job)) {
                shared.will_not_run(op, Unrun::Closed);
                drop(unrun);
            }
        }
    }
}

impl<T> Drop for Reservation<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.mailbox.call_off();
        }
    }
}
