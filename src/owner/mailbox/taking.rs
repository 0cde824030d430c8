//! What the owner itself does with its mailbox: it takes jobs, looks for more, parks.
//!
//! It takes all jobs at once into a batch of its own, and then needs the lock no more until that is done. Where it can
//! be told how many jobs are queued (the queue is bounded, or watched) it takes them one by one.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;

use super::{Mailbox, Open, Takes};
use crate::owner::backlog::Backlog;
use crate::owner::job::{Job, Plain, Popped, Seen, Sent};
use crate::owner::ticket::Mine;
use crate::platform;
use crate::wait::{Activation, Kind, Op};

/// A batch that was taken too early: it did not make up for the way of the lock to and fro.
const SMALL_BATCH: u64 = 64;

/// The jobs that the owner has taken from the queue and not begun. Only the owner's own thread has it.
pub(in crate::owner) struct Batch<T> {
    jobs: RefCell<Backlog<T>>,
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
pub(in crate::owner) enum Next<T> {
    /// Run the job that was moved to where it is run, and has been begun.
    Run,
    /// The same, of a post on nobody's behalf.
    RunPlain(Plain),
    /// Run this, which was handed over and has been begun.
    RunHanded(Sent<T>),
    /// These will not run: tell whoever has to be told.
    Refuse(Backlog<T>),
    /// Nothing yet: look again for a while.
    Look,
    /// Nothing yet: park. In an exploration, where somebody can tell when the owner looks, a token that was left over is
    /// no reason to look again.
    Park { is_seen: bool },
    /// Nothing any more: end.
    End,
}

impl<T> Mailbox<T> {
    /// The owner's next job, which is moved to `job`. Without one the owner parks, or `looks` again for a while before
    /// it asks anew.
    #[inline(always)]
    pub(in crate::owner) fn next(
        &self,
        batch: &Batch<T>,
        looks: impl Fn() -> bool,
        job: &mut Job<T>,
    ) -> Next<T> {
        let is_seen = self.object.step(Op::unasked("next job"), Kind::Take);
        let (mut batch, taken) = (batch.jobs.borrow_mut(), &batch.taken);
        loop {
            let nothing_runs = self.hints.nothing_runs.load(Ordering::Relaxed);
            // While there is anything in the batch nothing is handed over.
            if !batch.is_empty() {
                if nothing_runs {
                    self.in_batch.store(0, Ordering::Relaxed);
                    return Next::Refuse(std::mem::take(&mut batch));
                }
                self.in_batch.store(self.in_batch.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
                match batch.pop_next(job) {
                    Some(Popped::Plain(plain)) => return Next::RunPlain(plain),
                    Some(Popped::Job) if job.begin() == Mine::Yes => return Next::Run,
                    _ => continue,
                }
            }
            if self.owner_looks && self.hatch.done(&looks) {
                return Next::Look;
            }
            match self.handed() {
                Some(Sent { about, promise }) if nothing_runs => batch.push(&about, promise),
                Some(sent) if sent.promise.begin() == Mine::Yes => return Next::RunHanded(sent),
                Some(_) => continue,
                None => {}
            }
            self.gather(taken.get());
            let mut inner = self.inner.lock();
            self.shut();
            if self.has_been_handed() {
                continue;
            }
            if self.takes == Takes::All && !inner.queue.is_empty() {
                batch.take_all(&mut inner.queue);
                taken.set(inner.queued - inner.taken);
                self.in_batch.store(taken.get() as usize, Ordering::Relaxed);
                inner.taken = inner.queued;
                continue;
            }
            if self.takes == Takes::One && inner.queue.pop(job) {
                inner.taken += 1;
                let room = inner.have_room(self.capacity);
                drop(inner);
                room.into_iter().for_each(|waiting| waiting.set(()));
                if job.begin() == Mine::Yes {
                    return Next::Run;
                }
                continue;
            }
            if inner.may_end() {
                inner.ended.witness();
                return Next::End;
            }
            if looks() && self.hatch.open() {
                inner.idle = false;
                return Next::Look;
            }
            inner.parked = true;
            inner.idle = true;
            let idle = inner.until_idle.take_all();
            drop(inner);
            drop(batch);
            if let Some(idle) = idle {
                idle.for_each(|waiting| waiting.set(()));
            }
            return Next::Park { is_seen };
        }
    }

    /// Whether the owner was woken by what happened to the mailbox since it parked: then that has happened for it.
    pub(in crate::owner) fn has_news(&self) -> bool {
        let inner = self.inner.lock();
        if inner.parked {
            return false;
        }
        match inner.queue.front() {
            Some(job) => job.about.witness(),
            None => inner.ended.witness(),
        }
        true
    }

    /// What an owner that looked was handed; nothing where it never looks.
    #[inline(always)]
    pub(super) fn handed(&self) -> Option<Sent<T>> {
        let sent = if self.owner_looks { self.hatch.take() } else { None };
        sent.inspect(Sent::fetch)
    }

    pub(super) fn has_been_handed(&self) -> bool {
        self.owner_looks && self.hatch.is_full()
    }

    /// Whether there is a job that carries one of the awaited activations or is needed, or one that is to be
    /// refused. If not, the owner is woken by the next job, whichever that is.
    pub(in crate::owner) fn has_one_of(&self, batch: &Batch<T>, awaited: &[Activation]) -> bool {
        let mut inner = self.inner.lock();
        let batch = batch.jobs.borrow();
        let found = match inner.open {
            Open::No => !batch.is_empty(),
            _ => {
                let first = first_of(&batch, &inner.queue, awaited);
                // Without this job the owner would not take any.
                first
                    .and_then(|at| batch.iter().chain(inner.queue.iter()).nth(at))
                    .inspect(|job| job.about.witness());
                first.is_some()
            }
        };
        inner.parked = !found;
        found
    }

    /// The first job that carries one of the awaited activations or is needed. If nothing runs any more: what is
    /// to be refused, or those who wait for it would wait until the owner's own wait is over.
    pub(in crate::owner) fn next_of(
        &self,
        batch: &Batch<T>,
        awaited: &[Activation],
        job: &mut Job<T>,
    ) -> Option<Next<T>> {
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
            let room = if first < taken {
                self.in_batch.store(taken - 1, Ordering::Relaxed);
                batch.remove(first, job);
                Vec::new()
            } else {
                inner.queue.remove(first - taken, job);
                inner.is_taken(job, self.capacity)
            };
            drop((inner, batch));
            room.into_iter().for_each(|waiting| waiting.set(()));
            if job.begin() == Mine::Yes {
                return Some(Next::Run);
            }
        }
    }

    /// Whether an owner that looks should see what there is.
    pub(in crate::owner) fn may_have_job(&self) -> bool {
        self.hatch.has_news()
    }

    /// Lets more posts come, unless somebody waits: those that come meanwhile are taken too, and the lock goes to and
    /// fro less often. The longer, the more of them there were the last time; less than a microsecond.
    #[inline]
    fn gather(&self, last: u64) {
        let looks = match last {
            _ if !platform::CAN_SPIN || !self.owner_looks || self.takes == Takes::One => 0,
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
    pub(in crate::owner) fn caller(&self) -> u32 {
        self.hints.caller.load(Ordering::Relaxed)
    }

    /// A caller that waits is on this processor.
    pub(in crate::owner) fn called_from(&self, processor: u32) {
        if self.hints.caller.load(Ordering::Relaxed) != processor {
            self.hints.caller.store(processor, Ordering::Relaxed);
        }
    }
}

/// Where, in the batch and then the queue, the next job of the awaited work stands.
fn first_of<T>(batch: &Backlog<T>, queue: &Backlog<T>, awaited: &[Activation]) -> Option<usize> {
    let jobs = || batch.iter().chain(queue.iter());
    let belongs = |job: &Seen<'_, T>| job.descends_from(awaited);
    let (found, first) = jobs().enumerate().find(|(_, job)| belongs(job) || job.is_needed())?;
    // A needed job does not overtake what its sender queued before it.
    match belongs(&first) {
        false => jobs().position(|job| job.about.has_sender_of(first.about)),
        true => Some(found),
    }
}
