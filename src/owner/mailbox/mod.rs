//! The queue of an owner, and when the owner sleeps.
//!
//! Under one lock: the jobs, and whether the owner is about to park. A push takes that flag and unparks after
//! unlocking iff it was set; the owner sets it only when it found nothing to do, under the same lock. So a
//! job cannot slip in between, and an owner that is busy is never woken.
//!
//! | file | idea |
//! | --- | --- |
//! | `taking.rs` | what the owner itself does: it takes jobs, looks for more, parks |
//! | `room.rs` | room in the queue of a bounded owner, and those who wait for it |
//! | `ending.rs` | whether the owner accepts jobs, has any left, and has ended; and who is told |

mod ending;
mod room;
mod taking;

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use super::about::About;
use super::backlog::Backlog;
use super::error::Panicked;
use super::hatch::{Hatch, News};
use super::job::Sent;
use super::ticket::Ticket;
use super::work::Load;
use crate::platform::{self, Bug, Mutex, Unseen, seeded};
use crate::sync::Line;
use crate::wait::{self, Access, Activation, Cancel, Kind, Lineage, Object, Op, Stamp, TaskId};

pub(super) use ending::Stands;
use room::WaitsForRoom;
pub(super) use room::{Queued, Room};
pub(super) use taking::{Batch, Next};

pub(super) struct Mailbox<T> {
    owner: TaskId,
    object: Object,
    /// How many posts may be queued.
    pub(super) capacity: Option<usize>,
    takes: Takes,
    /// The owner looks for a while before it parks: not as a coroutine, which has nobody to look for.
    pub(super) owner_looks: bool,
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

/// How many jobs the owner takes at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    All,
    One,
}

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
    queue: Backlog<T>,
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
}

/// Why a job was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Closed,
    Full,
}

impl<T> Mailbox<T> {
    #[inline(always)]
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
            takes: if capacity.is_some() || is_watched { Takes::One } else { Takes::All },
            owner_looks: platform::owners_look() && !wait::is_explored(),
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
    pub(super) fn post(
        &self,
        op: Op,
        lineage: Option<Arc<Lineage>>,
        sender: TaskId,
        load: impl Load<T>,
    ) -> Result<(), Refused> {
        let kind = if self.capacity.is_some() { Kind::TryPost } else { Kind::Post };
        self.object.step(op, kind);
        self.post_if_room(&About::new(op, lineage, sender), load).map_err(|(refused, _)| refused)
    }

    /// Queues a job whose step has been taken, and whose sender waits for it: there is always room for one more of
    /// those.
    pub(super) fn push(&self, job: Sent<T>) -> Result<(), Refused> {
        let handed = if self.owner_looks { self.hatch.hand_over(job) } else { Err(job) };
        let Err(Sent { about, promise }) = handed else { return Ok(()) };
        // Dropped here, the promise tells its caller.
        self.put(&about, promise, None, News::Calls).map_err(|(refused, _)| refused)
    }

    /// Queues a post whose step has been taken, or gives it back.
    #[inline(always)]
    pub(super) fn post_if_room<L: Load<T>>(&self, about: &About, load: L) -> Result<(), (Refused, L)> {
        self.put(about, load, self.capacity, News::Posts)
    }

    /// Queues a load, or gives it back: to drop it wakes its caller and runs a user's destructors, which is nothing to
    /// do under the lock.
    #[inline(always)]
    fn put<L: Load<T>>(
        &self,
        about: &About,
        load: L,
        capacity: Option<usize>,
        news: News,
    ) -> Result<(), (Refused, L)> {
        let mut inner = self.inner.lock();
        if inner.open != Open::Yes && !seeded(Bug::AcceptAfterClose) {
            return Err((Refused::Closed, load));
        }
        if capacity.is_some_and(|capacity| inner.queued - inner.taken >= capacity as u64) {
            return Err((Refused::Full, load));
        }
        let wake = self.append(&mut inner, about, load, news);
        drop(inner);
        self.wake_if(wake);
        Ok(())
    }

    /// Puts a job into the queue; says whether the owner must be woken.
    #[inline(always)]
    fn append(&self, inner: &mut Inner<T>, about: &About, load: impl Load<T>, news: News) -> bool {
        inner.queue.push(about, load);
        inner.queued += 1;
        inner.idle = inner.idle && seeded(Bug::StaysIdle);
        if self.owner_looks {
            self.hatch.tell(news);
        }
        inner.take_parked()
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
        (inner.queue.iter().take(most).map(|job| job.about.op()).collect(), inner.queue.len())
    }

    /// For whoever has the lock: nothing is handed over from now on.
    fn shut(&self) {
        if self.owner_looks {
            self.hatch.shut();
        }
    }

    /// Whether a job is in the queue that belongs to the awaited work.
    pub(super) fn holds_one_of(&self, awaited: Activation) -> bool {
        self.inner.lock().queue.iter().any(|job| job.descends_from(&[awaited]))
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
}
