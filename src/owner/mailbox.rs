//! The queue of an owner, and when the owner sleeps.
//!
//! Under one lock: the jobs, and whether the owner is about to park. A push takes that flag and unparks after
//! unlocking iff it was set; the owner sets it only when it found nothing to do, under the same lock. So a
//! job cannot slip in between, and an owner that is busy is never woken.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use super::job::{Job, Ticket};
use crate::platform::{Bug, Mutex, seeded};
use crate::wait::{Access, Activation, Kind, Object, Op, Stamp, TaskId};

pub(super) struct Mailbox<T> {
    owner: TaskId,
    object: Object,
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    queue: VecDeque<Job<T>>,
    /// The owner found nothing and is about to park.
    parked: bool,
    closed: bool,
    /// Jobs that were promised and are still to come, whether the mailbox is closed or not.
    owed: usize,
    /// What had happened when nothing more could come.
    ended: Stamp,
}

impl<T> Inner<T> {
    /// Where in the queue the next job of the awaited work stands.
    fn first_of(&self, awaited: &[Activation]) -> Option<usize> {
        let wanted = |job: &Job<T>| job.is_needed() || job.lineage.descends_from(awaited);
        let found = self.queue.iter().position(wanted)?;
        // A needed job does not overtake what its sender queued before it.
        let first = &self.queue[found];
        match first.is_needed() {
            true => self.queue.iter().position(|job| job.sender == first.sender),
            false => Some(found),
        }
    }

    /// Whether the owner must be woken.
    fn take_parked(&mut self) -> bool {
        std::mem::replace(&mut self.parked, false)
    }
}

/// What the owner does next.
#[must_use]
pub(super) enum Next<T> {
    /// Run this.
    Run(Job<T>),
    /// Nothing yet: park.
    Park,
    /// Nothing any more: end.
    End,
}

/// The mailbox is closed.
#[derive(Debug)]
pub(super) struct Refused;

impl<T> Mailbox<T> {
    pub(super) fn new(owner: TaskId) -> Self {
        let inner =
            Inner { queue: VecDeque::new(), parked: false, closed: false, owed: 0, ended: Stamp::default() };
        Self { owner, object: Object::new(), inner: Mutex::new(inner) }
    }

    /// What those who queue jobs touch.
    pub(super) fn object(&self) -> Object {
        self.object
    }

    /// The step of a caller that queues a job and waits for its reply.
    pub(super) fn arrival(&self) -> Access {
        self.object.access(Kind::Post)
    }

    /// Queues a job. Never waits for the owner.
    pub(super) fn post(&self, job: Job<T>) -> Result<(), Refused> {
        self.object.step(job.op, Kind::Post);
        self.push(job)
    }

    /// Queues a job whose step has been taken.
    pub(super) fn push(&self, mut job: Job<T>) -> Result<(), Refused> {
        job.queued = Stamp::here();
        let mut inner = self.inner.lock();
        if inner.closed && !seeded(Bug::AcceptAfterClose) {
            drop(inner);
            // Outside of the lock: dropping the job wakes its caller and runs a user's destructors.
            drop(job);
            return Err(Refused);
        }
        inner.queue.push_back(job);
        let wake = inner.take_parked();
        drop(inner);
        self.wake_if(wake);
        Ok(())
    }

    /// Promises a job: the owner does not end before it came or was called off.
    pub(super) fn owe(&self, op: Op) -> Result<(), Refused> {
        self.object.step(op, Kind::Owe);
        let mut inner = self.inner.lock();
        if inner.closed {
            return Err(Refused);
        }
        inner.owed += 1;
        Ok(())
    }

    /// Keeps a promise with a job, or calls it off without one.
    pub(super) fn keep(&self, mut job: Option<Job<T>>) {
        if let Some(job) = &mut job {
            self.object.step(job.op, Kind::Keep);
            job.queued = Stamp::here();
        }
        let mut inner = self.inner.lock();
        inner.owed -= 1;
        inner.ended = inner.ended.and_here();
        inner.queue.extend(job);
        let wake = inner.take_parked();
        drop(inner);
        self.wake_if(wake);
    }

    /// Accepts nothing from now on. What was accepted still runs.
    pub(super) fn close(&self) {
        self.object.step(Op::unasked("close"), Kind::Close);
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.ended = inner.ended.and_here();
        let wake = inner.take_parked();
        drop(inner);
        self.wake_if(wake);
    }

    /// Closes, and refuses what was accepted: there is nobody to run it.
    pub(super) fn abandon(&self) {
        if !self.inner.lock().closed {
            self.object.step(Op::unasked("close"), Kind::Close);
        }
        let mut inner = self.inner.lock();
        inner.closed = true;
        let refused = std::mem::take(&mut inner.queue);
        drop(inner);
        // Outside of the lock: dropping the jobs wakes their callers.
        drop(refused);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.object.step(Op::unasked("is closed?"), Kind::IsClosed);
        self.inner.lock().closed
    }

    /// The first job of all.
    pub(super) fn next(&self) -> Next<T> {
        let mut inner = self.inner.lock();
        if let Some(job) = inner.queue.pop_front() {
            return Next::Run(begun(job));
        }
        if inner.closed && (inner.owed == 0 || seeded(Bug::ForgetReservation)) {
            inner.ended.witness();
            return Next::End;
        }
        inner.parked = true;
        Next::Park
    }

    /// Whether there is a job that carries one of the awaited activations or is needed. If not, the owner is
    /// woken by the next job, whichever that is.
    pub(super) fn has_one_of(&self, awaited: &[Activation]) -> bool {
        let mut inner = self.inner.lock();
        let found = inner.first_of(awaited).is_some();
        inner.parked = !found;
        found
    }

    /// The first job that carries one of the awaited activations or is needed.
    pub(super) fn next_of(&self, awaited: &[Activation]) -> Option<Job<T>> {
        let mut inner = self.inner.lock();
        let first = inner.first_of(awaited)?;
        inner.queue.remove(first).map(begun)
    }

    /// Whether the owner has taken the job from the queue.
    pub(super) fn has_begun(&self, ticket: &Ticket) -> bool {
        let _inner = self.inner.lock();
        ticket.begun.load(Ordering::Relaxed)
    }

    /// Hands over the news that this job is needed; `false` if it has begun already.
    pub(super) fn need(&self, ticket: &Ticket) -> bool {
        let mut inner = self.inner.lock();
        if ticket.begun.load(Ordering::Relaxed) {
            return false;
        }
        ticket.needed.store(true, Ordering::Relaxed);
        let wake = inner.take_parked();
        drop(inner);
        self.wake_if(wake);
        true
    }

    fn wake_if(&self, wake: bool) {
        if wake {
            self.owner.unpark();
        }
    }
}

/// Marks a job, under the lock, as taken.
fn begun<T>(job: Job<T>) -> Job<T> {
    job.queued.witness();
    if let Some(ticket) = &job.ticket {
        ticket.begun.store(true, Ordering::Relaxed);
    }
    job
}
