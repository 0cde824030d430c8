//! The queue of an owner, and when the owner sleeps.
//!
//! Under one lock: the jobs, and whether the owner is about to park. A push takes that flag and unparks after
//! unlocking iff it was set; the owner sets it only when it found nothing to do, under the same lock. So a
//! job cannot slip in between, and an owner that is busy is never woken.
//!
//! The owner takes all jobs at once into a batch of its own, and then needs the lock no more until that is done.
//! Where it can be told how many jobs are queued (the queue is bounded, or watched) it takes them one by one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use super::backlog::Backlog;
use super::error::Panicked;
use super::hatch::{Hatch, News};
use super::job::{Job, Kept, Sent};
use super::ticket::{Mine, Ticket};
use super::trace::QueuedAt;
use crate::platform::{self, Bug, Mutex, Unseen, seeded};
use crate::sync::{Line, Place, Reader, Setter, slot};
use crate::wait::{Access, Activation, Cancel, Kind, Object, Op, Stamp, TaskId};

pub(super) struct Mailbox<T> {
    owner: TaskId,
    object: Object,
    /// How many posts may be queued.
    pub(super) capacity: Option<usize>,
    /// How many jobs the owner takes at a time.
    at_once: usize,
    inner: Apart<Mutex<Inner<T>>>,
    /// The runs of the owner's sessions that go on. Whoever begins one puts it here before it asks whether the owner
    /// is open, and whoever closes the owner takes them after that: no run is missed by both.
    runs: Unseen<Vec<Arc<Cancel>>>,
    hatch: Apart<Hatch<Sent<T>>>,
    hints: Apart<Hints>,
    /// How many jobs the owner has taken and not begun.
    in_batch: Apart<AtomicUsize>,
}

/// In cache lines of its own: what several processors write at once, each to its own part, would go to and fro.
#[derive(Default)]
#[repr(align(128))]
struct Apart<P>(P);

impl<P> Deref for Apart<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0
    }
}

/// What may be wrong and only saves time.
struct Hints {
    /// On which processor the last caller was.
    caller: AtomicU32,
    /// It was closed, and nothing more is to run.
    nothing_runs: AtomicBool,
}

/// A batch that was taken too early: it did not make up for the way of the lock to and fro.
const SMALL_BATCH: u64 = 64;

/// What becomes of a closed mailbox' jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Open {
    Yes,
    /// What was accepted runs.
    Draining,
    /// Nothing more runs.
    No,
}

#[repr(C)]
struct Inner<T> {
    // What every call touches, in the cache line of the lock.
    /// The owner found nothing and is about to park.
    parked: bool,
    /// The owner is in no job, and there is none.
    idle: bool,
    open: Open,
    /// How many jobs were ever queued, and how many of them are not in the queue any more.
    queued: u64,
    taken: u64,
    queue: Backlog<Job<T>>,
    /// Jobs that were promised and are still to come, whether the mailbox is closed or not.
    owed: usize,
    /// Those who wait for room, in the order of their jobs, which are the last ones of the queue.
    room: VecDeque<WaitsForRoom<T>>,
    /// Those who wait until the owner is idle.
    until_idle: Line<()>,
    /// How the owner ended.
    end: Option<Result<(), Panicked>>,
    /// Those who wait for its end.
    until_end: Line<()>,
    /// What had happened when nothing more could come.
    ended: Stamp,
}

impl<T> Inner<T> {
    /// Whether the owner must be woken.
    fn take_parked(&mut self) -> bool {
        std::mem::replace(&mut self.parked, false) && !seeded(Bug::ForgetParked)
    }

    /// Whether the owner ends once there is no job.
    fn may_end(&self) -> bool {
        match self.open {
            Open::Yes => false,
            Open::Draining => self.owed == 0 || seeded(Bug::ForgetReservation),
            Open::No => true,
        }
    }

    /// Those for whom there is room now.
    fn have_room(&mut self, capacity: Option<usize>) -> Vec<Setter<()>> {
        let Some(capacity) = capacity.filter(|_| !seeded(Bug::RoomForNobody)) else { return Vec::new() };
        let up_to = self.taken + capacity as u64;
        let count = self.room.iter().take_while(|waiting| waiting.number < up_to).count();
        self.room.drain(..count).map(WaitsForRoom::accept).collect()
    }

    /// A job has been taken out of turn; says for whom there is room now. One that waited for room, which is none of
    /// those that take up room, is accepted by that, and leaves the others' places as they were.
    fn is_taken(&mut self, job: &Job<T>, capacity: Option<usize>) -> Vec<Setter<()>> {
        let Some(at) = self.room.iter().position(|waiting| job.is(&waiting.job)) else {
            self.taken += 1;
            return self.have_room(capacity);
        };
        self.queued -= 1;
        self.room.iter_mut().skip(at).for_each(|later| later.number -= 1);
        self.room.remove(at).map(WaitsForRoom::accept).into_iter().collect()
    }
}

/// A sender that waits for room for a job which is in the queue already.
struct WaitsForRoom<T> {
    /// How many were queued before it.
    number: u64,
    job: Arc<dyn Kept<T>>,
    waiting: Setter<()>,
}

impl<T> WaitsForRoom<T> {
    /// From now on the job is one that was accepted.
    fn accept(self) -> Setter<()> {
        self.job.ticket().accept();
        self.waiting
    }
}

/// The jobs that the owner has taken from the queue and not begun. Only the owner's own thread has it.
pub(super) struct Batch<T> {
    jobs: RefCell<Backlog<Job<T>>>,
    /// How many there were when they were taken.
    taken: Cell<u64>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { jobs: RefCell::default(), taken: Cell::new(0) }
    }
}

/// What the owner does next.
#[must_use]
pub(super) enum Next<T> {
    /// Run this, which has been begun.
    Run(Job<T>),
    /// These will not run: tell whoever has to be told.
    Refuse(Backlog<Job<T>>),
    /// Nothing yet: look again for a while.
    Look,
    /// Nothing yet: park.
    Park,
    /// Nothing any more: end.
    End,
}

/// Why a job was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Closed,
    Full,
}

/// What a job that comes without a promise is: in the queue, or still on its way.
pub(super) enum Queued {
    /// It is there.
    Yes,
    /// It is there, and its sender waits until there is room for it.
    Waiting(Room),
}

/// A sender's wait for room.
pub(super) struct Room {
    pub(super) given: Reader<()>,
}

impl<T> Mailbox<T> {
    pub(super) fn new(owner: TaskId, capacity: Option<usize>, is_watched: bool) -> Self {
        let inner = Inner {
            queue: Backlog::default(),
            queued: 0,
            taken: 0,
            parked: false,
            idle: true,
            open: Open::Yes,
            owed: 0,
            room: VecDeque::new(),
            until_idle: Line::default(),
            end: None,
            until_end: Line::default(),
            ended: Stamp::default(),
        };
        let object = Object::new();
        if capacity.is_some() {
            // Whether there is room depends on what the owner has taken.
            object.observe();
        }
        Self {
            owner,
            object,
            capacity,
            at_once: if capacity.is_some() || is_watched { 1 } else { usize::MAX },
            inner: Apart(Mutex::new(inner)),
            runs: Unseen::default(),
            hatch: Apart(Hatch::new()),
            hints: Apart(Hints { caller: AtomicU32::new(u32::MAX), nothing_runs: AtomicBool::new(false) }),
            in_batch: Apart::default(),
        }
    }

    /// What those who queue jobs touch.
    pub(super) fn object(&self) -> Object {
        self.object
    }

    /// The step of a caller that queues a job and waits for its reply.
    pub(super) fn arrival(&self) -> Access {
        self.object.access(Kind::Post)
    }

    /// Queues a job, if there is room. Never waits for the owner.
    #[inline(always)]
    pub(super) fn post(&self, op: Op, job: impl FnOnce() -> Job<T>) -> Result<(), Refused> {
        let kind = if self.capacity.is_some() { Kind::TryPost } else { Kind::Post };
        self.object.step(op, kind);
        self.put(job, self.capacity, News::Posts)
    }

    /// Queues a job whose step has been taken, and whose sender waits for it: there is always room for one more of
    /// those.
    pub(super) fn push(&self, job: Sent<T>) -> Result<(), Refused> {
        let handed = if platform::owners_look() { self.hatch.hand_over(job) } else { Err(job) };
        handed.or_else(|job| self.put(|| Job::kept(job), None, News::Calls))
    }

    /// Queues a post whose step has been taken, if there is room: otherwise `job` is not called.
    pub(super) fn push_if_room(&self, job: impl FnOnce() -> Job<T>) -> Result<(), Refused> {
        self.put(job, self.capacity, News::Posts)
    }

    /// Queues what `job` makes. It is made in its place in the queue: on its way there it would be copied again and
    /// again, and a processor that reads in one piece what was just written in several has to wait.
    #[inline(always)]
    fn put(&self, job: impl FnOnce() -> Job<T>, capacity: Option<usize>, news: News) -> Result<(), Refused> {
        let (stamp, queued_at) = (Stamp::here(), QueuedAt::now());
        let mut inner = self.inner.lock();
        if inner.open != Open::Yes && !seeded(Bug::AcceptAfterClose) {
            drop(inner);
            // Outside of the lock: dropping the job wakes its caller and runs a user's destructors.
            drop(job);
            return Err(Refused::Closed);
        }
        if capacity.is_some_and(|capacity| inner.queued - inner.taken >= capacity as u64) {
            drop(inner);
            drop(job);
            return Err(Refused::Full);
        }
        let wake = self.append(&mut inner, || job().queued(stamp, queued_at), news);
        drop(inner);
        self.wake_if(wake);
        Ok(())
    }

    /// Puts a job into the queue; says whether the owner must be woken.
    #[inline(always)]
    fn append(&self, inner: &mut Inner<T>, job: impl FnOnce() -> Job<T>, news: News) -> bool {
        inner.queue.push(job);
        inner.queued += 1;
        inner.idle = inner.idle && seeded(Bug::StaysIdle);
        if platform::owners_look() {
            self.hatch.tell(news);
        }
        inner.take_parked()
    }

    /// Queues a job whose step has been taken, whether there is room for it or not; if not, its sender, who keeps it
    /// too, waits.
    pub(super) fn push_or_wait(&self, job: Job<T>, kept: &Arc<dyn Kept<T>>) -> Result<Queued, Refused> {
        let job = job.queued(Stamp::here(), QueuedAt::now());
        let mut inner = self.inner.lock();
        if inner.open != Open::Yes {
            drop(inner);
            drop(job);
            return Err(Refused::Closed);
        }
        let number = inner.queued;
        let is_full = self.capacity.is_some_and(|capacity| number - inner.taken >= capacity as u64);
        let queued = if is_full {
            let (setter, given) = slot(Some(self.owner));
            inner.room.push_back(WaitsForRoom { number, job: kept.clone(), waiting: setter });
            Queued::Waiting(Room { given })
        } else {
            kept.ticket().accept();
            Queued::Yes
        };
        let wake = self.append(&mut inner, || job, News::Calls);
        drop(inner);
        self.wake_if(wake);
        Ok(queued)
    }

    /// Whoever waited for room goes away, and takes the job back: it is theirs after that. `No` if it has been accepted
    /// by now, or refused.
    pub(super) fn leave_room(&self, job: &Arc<dyn Kept<T>>) -> Mine {
        let mut inner = self.inner.lock();
        let place =
            inner.room.iter().position(|other| std::ptr::addr_eq(Arc::as_ptr(&other.job), Arc::as_ptr(job)));
        let Some(left) = place.and_then(|place| inner.room.remove(place)) else { return Mine::No };
        // Under the lock, or the owner could begin it in between.
        let mine = left.job.ticket().leave();
        drop(inner);
        drop(left);
        mine
    }

    /// Whether a post would be accepted now, as far as room goes.
    pub(super) fn has_room(&self) -> bool {
        let inner = self.inner.lock();
        self.capacity.is_none_or(|capacity| inner.queued - inner.taken < capacity as u64)
    }

    /// Promises a job: the owner does not end before it came or was called off.
    pub(super) fn owe(&self, op: Op) -> Result<(), Refused> {
        self.object.step(op, Kind::Owe);
        let mut inner = self.inner.lock();
        if inner.open != Open::Yes {
            return Err(Refused::Closed);
        }
        inner.owed += 1;
        Ok(())
    }

    /// Keeps a promise with a job, or calls it off without one. Gives the job back if nothing runs any more.
    pub(super) fn keep(&self, job: Option<Job<T>>) -> Option<Job<T>> {
        self.object.step(job.as_ref().map_or(Op::unasked("called off"), Job::op), Kind::Keep);
        let job = job.map(|job| job.queued(Stamp::here(), QueuedAt::now()));
        let mut inner = self.inner.lock();
        inner.owed -= 1;
        inner.ended = inner.ended.and_here();
        if inner.open == Open::No {
            return job;
        }
        let wake = match job {
            Some(job) => self.append(&mut inner, || job, News::Posts),
            None => inner.may_end() && inner.take_parked(),
        };
        drop(inner);
        self.wake_if(wake);
        None
    }

    /// A run of a session of this owner begins, whose step has been taken: it is cancelled when the owner is closed.
    pub(super) fn enrol(&self, run: &Arc<Cancel>) -> Result<(), Refused> {
        self.runs.lock().push(run.clone());
        if self.inner.lock().open == Open::Yes {
            return Ok(());
        }
        self.runs.lock().retain(|other| !Arc::ptr_eq(run, other));
        Err(Refused::Closed)
    }

    /// That run has ended.
    pub(super) fn dismiss(&self, run: &Arc<Cancel>) {
        self.object.step(Op::unasked("end of the run"), Kind::Owe);
        self.runs.lock().retain(|other| !Arc::ptr_eq(run, other));
    }

    /// Accepts nothing from now on, and cancels the runs. What was accepted still runs.
    pub(super) fn close(&self) {
        self.object.step(Op::unasked("close"), Kind::Close);
        drop(self.close_to(Open::Draining));
    }

    /// Accepts nothing from now on, cancels the runs, and returns what was accepted and is still in the queue; what
    /// the owner has taken and not begun it refuses itself.
    pub(super) fn close_now(&self) -> Backlog<Job<T>> {
        self.object.observe();
        self.object.step(Op::unasked("close"), Kind::CloseNow);
        self.close_to(Open::No)
    }

    /// There is nobody to run anything: as [`close_now`](Self::close_now).
    pub(super) fn abandon(&self) -> Backlog<Job<T>> {
        if self.inner.lock().open == Open::Yes {
            self.object.step(Op::unasked("close"), Kind::Close);
        }
        let mut refused = self.close_to(Open::No);
        if let Some(job) = self.handed() {
            refused.push(|| job);
        }
        refused
    }

    fn close_to(&self, open: Open) -> Backlog<Job<T>> {
        let mut inner = self.inner.lock();
        inner.open = inner.open.max(open);
        // What was handed over before is the owner's.
        if !seeded(Bug::CloseAjar) {
            self.shut();
        }
        inner.ended = inner.ended.and_here();
        let mut refused = Backlog::default();
        let mut room = VecDeque::new();
        if open == Open::No {
            self.hints.nothing_runs.store(true, Ordering::Relaxed);
            std::mem::swap(&mut inner.queue, &mut refused);
            inner.taken = inner.queued;
            std::mem::swap(&mut inner.room, &mut room);
        }
        // One that is still owed a job is woken by that.
        let wake = inner.may_end() && inner.take_parked();
        drop(inner);
        self.wake_if(wake);
        // Outside of the lock: all of this wakes others.
        drop(room);
        let runs = std::mem::take(&mut *self.runs.lock());
        runs.iter().for_each(|run| run.close());
        refused
    }

    pub(super) fn is_closed(&self) -> bool {
        self.object.step(Op::unasked("is closed?"), Kind::IsClosed);
        self.inner.lock().open != Open::Yes
    }

    /// How many jobs are queued.
    pub(super) fn len(&self) -> usize {
        self.object.observe();
        self.object.step(Op::unasked("len"), Kind::Len);
        let inner = self.inner.lock();
        let handed = self.has_been_handed();
        (inner.queued - inner.taken) as usize + self.in_batch.load(Ordering::Relaxed) + usize::from(handed)
    }

    /// The operations of the jobs that are queued, the first of them, for somebody who watches.
    pub(super) fn queued_ops(&self, most: usize) -> (Vec<Op>, usize) {
        let inner = self.inner.lock();
        (inner.queue.iter().take(most).map(Job::op).collect(), inner.queue.len())
    }

    /// Waits in line until the owner is idle; none if it is.
    pub(super) fn join_idle(&self) -> Option<Place<()>> {
        let mut inner = self.inner.lock();
        let idle = inner.idle || inner.end.is_some();
        (!idle).then(|| inner.until_idle.join(Some(self.owner)))
    }

    /// Whether the owner is in no job, and there is none.
    pub(super) fn is_idle(&self) -> bool {
        let inner = self.inner.lock();
        inner.idle || inner.end.is_some()
    }

    /// What touches the mailbox in order to wait until the owner is idle.
    pub(super) fn idle_arrival(&self) -> Access {
        self.object.observe();
        self.object.access(Kind::Idle)
    }

    /// Waits in line for the end of the owner; or how it ended.
    pub(super) fn join_end(&self) -> Result<Place<()>, Result<(), Panicked>> {
        let mut inner = self.inner.lock();
        match &inner.end {
            Some(end) => Err(end.clone()),
            None => Ok(inner.until_end.join(Some(self.owner))),
        }
    }

    /// Leaves either line.
    pub(super) fn leave(&self, idle: Option<&Place<()>>, end: Option<&Place<()>>) {
        let mut inner = self.inner.lock();
        // Whoever is not in line any more is being told, and does not listen.
        let left = (
            idle.and_then(|place| inner.until_idle.leave(place)),
            end.and_then(|place| inner.until_end.leave(place)),
        );
        drop(inner);
        drop(left);
    }

    /// The owner has ended, and dropped its state.
    pub(super) fn end(&self, how: Result<(), Panicked>) {
        let mut inner = self.inner.lock();
        inner.end = Some(how);
        let told = std::mem::take(&mut inner.until_end).chain(std::mem::take(&mut inner.until_idle));
        drop(inner);
        told.take(if seeded(Bug::EndToldOnce) { 1 } else { usize::MAX }).for_each(|waiting| waiting.set(()));
    }

    /// How the owner ended, if it has.
    pub(super) fn how_it_ended(&self) -> Option<Result<(), Panicked>> {
        self.inner.lock().end.clone()
    }

    /// The owner's next job. Without one it parks, or `looks` again for a while before it asks anew.
    pub(super) fn next(&self, batch: &Batch<T>, looks: bool) -> Next<T> {
        self.object.step(Op::unasked("next job"), Kind::Take);
        let (mut batch, taken) = (batch.jobs.borrow_mut(), &batch.taken);
        loop {
            if platform::owners_look() && self.hatch.done(looks) {
                return Next::Look;
            }
            let nothing_runs = self.hints.nothing_runs.load(Ordering::Relaxed);
            match self.handed() {
                Some(job) if nothing_runs => batch.push(|| job),
                Some(job) if job.begin() == Mine::Yes => return Next::Run(job),
                Some(_) => continue,
                None => {}
            }
            if nothing_runs && !batch.is_empty() {
                self.in_batch.store(0, Ordering::Relaxed);
                return Next::Refuse(std::mem::take(&mut batch));
            }
            while let Some(job) = batch.pop() {
                self.in_batch.store(self.in_batch.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
                if job.begin() == Mine::Yes {
                    return Next::Run(job);
                }
            }
            self.gather(taken.get());
            let mut inner = self.inner.lock();
            self.shut();
            if self.has_been_handed() {
                continue;
            }
            let before = inner.taken;
            if let Some(room) = self.take(&mut inner, &mut batch) {
                taken.set(inner.taken - before);
                drop(inner);
                room.into_iter().for_each(|waiting| waiting.set(()));
                continue;
            }
            if inner.may_end() {
                inner.ended.witness();
                return Next::End;
            }
            if looks && self.hatch.open() {
                inner.idle = false;
                return Next::Look;
            }
            inner.parked = true;
            inner.idle = true;
            let idle = std::mem::take(&mut inner.until_idle);
            drop(inner);
            drop(batch);
            if !idle.is_empty() {
                idle.for_each(|waiting| waiting.set(()));
            }
            return Next::Park;
        }
    }

    /// Whether the owner was woken by what happened to the mailbox since it parked: then that has happened for it.
    pub(super) fn has_news(&self) -> bool {
        let inner = self.inner.lock();
        if inner.parked {
            return false;
        }
        match inner.queue.iter().next() {
            Some(job) => job.witness(),
            None => inner.ended.witness(),
        }
        true
    }

    /// Takes jobs from the queue into the batch; then for whom there is room.
    fn take(&self, inner: &mut Inner<T>, batch: &mut Backlog<Job<T>>) -> Option<Vec<Setter<()>>> {
        if inner.queue.is_empty() {
            return None;
        }
        if self.at_once == 1 {
            inner.queue.pop().into_iter().for_each(|job| batch.push(|| job));
        } else {
            std::mem::swap(&mut inner.queue, batch);
        }
        let count = if self.at_once == 1 { 1 } else { inner.queued - inner.taken };
        inner.taken += count;
        self.in_batch.store(count as usize, Ordering::Relaxed);
        Some(inner.have_room(self.capacity))
    }

    /// What an owner that looked was handed; nothing where it never looks.
    #[inline(always)]
    fn handed(&self) -> Option<Job<T>> {
        let sent = if platform::owners_look() { self.hatch.take() } else { None };
        sent.inspect(Sent::fetch).map(Job::kept)
    }

    fn has_been_handed(&self) -> bool {
        platform::owners_look() && self.hatch.is_full()
    }

    /// For whoever has the lock: nothing is handed over from now on.
    fn shut(&self) {
        if platform::owners_look() {
            self.hatch.shut();
        }
    }

    /// Whether there is a job that carries one of the awaited activations or is needed, or one that is to be
    /// refused. If not, the owner is woken by the next job, whichever that is.
    pub(super) fn has_one_of(&self, batch: &Batch<T>, awaited: &[Activation]) -> bool {
        let mut inner = self.inner.lock();
        let batch = batch.jobs.borrow();
        let found = match inner.open {
            Open::No => !batch.is_empty(),
            _ => {
                let first = first_of(&batch, &inner.queue, awaited);
                // Without this job the owner would not take any.
                first
                    .and_then(|at| batch.iter().chain(inner.queue.iter()).nth(at))
                    .inspect(|job| job.witness());
                first.is_some()
            }
        };
        inner.parked = !found;
        found
    }

    /// The first job that carries one of the awaited activations or is needed. If nothing runs any more: what is
    /// to be refused, or those who wait for it would wait until the owner's own wait is over.
    pub(super) fn next_of(&self, batch: &Batch<T>, awaited: &[Activation]) -> Option<Next<T>> {
        self.object.step(Op::unasked("next job"), Kind::Take);
        loop {
            let mut inner = self.inner.lock();
            let mut batch = batch.jobs.borrow_mut();
            if inner.open == Open::No {
                self.in_batch.store(0, Ordering::Relaxed);
                return Some(Next::Refuse(std::mem::take(&mut batch)));
            }
            let first = first_of(&batch, &inner.queue, awaited)?;
            let taken = batch.len();
            let (job, room) = if first < taken {
                self.in_batch.store(taken - 1, Ordering::Relaxed);
                (batch.remove(first)?, Vec::new())
            } else {
                let job = inner.queue.remove(first - taken)?;
                let room = inner.is_taken(&job, self.capacity);
                (job, room)
            };
            drop((inner, batch));
            room.into_iter().for_each(|waiting| waiting.set(()));
            if job.begin() == Mine::Yes {
                return Some(Next::Run(job));
            }
        }
    }

    /// Whether a job is in the queue that belongs to the awaited work.
    pub(super) fn holds_one_of(&self, awaited: Activation) -> bool {
        let belongs = |job: &Job<T>| job.lineage().is_some_and(|lineage| lineage.descends_from(&[awaited]));
        self.inner.lock().queue.iter().any(belongs)
    }

    /// Hands over the news that this job is needed; `false` if it has begun already.
    pub(super) fn need(&self, ticket: &Ticket) -> bool {
        if !ticket.need() {
            return false;
        }
        let wake = self.inner.lock().take_parked();
        self.wake_if(wake);
        true
    }

    fn wake_if(&self, wake: bool) {
        if wake {
            self.owner.unpark();
        }
    }

    /// Whether an owner that looks should see what there is.
    pub(super) fn may_have_job(&self) -> bool {
        self.hatch.has_news()
    }

    /// Lets more posts come, unless somebody waits: those that come meanwhile are taken too, and the lock goes to and
    /// fro less often. The longer, the more of them there were the last time; less than a microsecond.
    #[inline]
    fn gather(&self, last: u64) {
        let looks = match last {
            _ if !platform::CAN_SPIN || self.at_once == 1 => 0,
            0..2 => 8,
            2..SMALL_BATCH => 32,
            _ => 0,
        };
        for _ in 0..looks {
            if !self.hatch.has_posts() {
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// Where the last caller was, and whoever looks for jobs therefore expects the next.
    pub(super) fn caller(&self) -> u32 {
        self.hints.caller.load(Ordering::Relaxed)
    }

    /// A caller that waits is on this processor.
    pub(super) fn called_from(&self, processor: u32) {
        if self.hints.caller.load(Ordering::Relaxed) != processor {
            self.hints.caller.store(processor, Ordering::Relaxed);
        }
    }
}

/// Where, in the batch and then the queue, the next job of the awaited work stands.
fn first_of<T>(batch: &Backlog<Job<T>>, queue: &Backlog<Job<T>>, awaited: &[Activation]) -> Option<usize> {
    let jobs = || batch.iter().chain(queue.iter());
    let belongs = |job: &Job<T>| job.lineage().is_some_and(|lineage| lineage.descends_from(awaited));
    let (found, first) = jobs().enumerate().find(|(_, job)| belongs(job) || job.is_needed())?;
    // A needed job does not overtake what its sender queued before it.
    match belongs(first) {
        false => jobs().position(|job| job.has_sender_of(first)),
        true => Some(found),
    }
}
