//! Room in the queue of a bounded owner, and those who wait for it.

use std::sync::Arc;

use super::{Inner, Mailbox, Open, Refused};
use crate::owner::hatch::News;
use crate::owner::job::{Job, Kept, Sent};
use crate::owner::ticket::Mine;
use crate::platform::{Bug, seeded};
use crate::sync::{Reader, Setter, slot};

/// A sender that waits for room for a job which is in the queue already.
pub(super) struct WaitsForRoom<T> {
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

/// What a job that comes without a promise is: in the queue, or still on its way.
pub(in crate::owner) enum Queued {
    /// It is there.
    Yes,
    /// It is there, and its sender waits until there is room for it.
    Waiting(Room),
}

/// A sender's wait for room.
pub(in crate::owner) struct Room {
    pub(in crate::owner) given: Reader<()>,
}

impl<T> Inner<T> {
    /// Where the sender of this job waits for room.
    fn place_in_line(&self, job: &Arc<dyn Kept<T>>) -> Option<usize> {
        self.room.iter().position(|other| std::ptr::addr_eq(Arc::as_ptr(&other.job), Arc::as_ptr(job)))
    }

    /// Those for whom there is room now.
    pub(super) fn have_room(&mut self, capacity: Option<usize>) -> Vec<Setter<()>> {
        let Some(capacity) = capacity.filter(|_| !seeded(Bug::RoomForNobody)) else { return Vec::new() };
        let up_to = self.taken + capacity as u64;
        let count = self.room.iter().take_while(|waiting| waiting.number < up_to).count();
        self.room.drain(..count).map(WaitsForRoom::accept).collect()
    }

    /// A job has been taken out of turn; says for whom there is room now. One that waited for room, which is none of
    /// those that take up room, is accepted by that, and leaves the others' places as they were.
    pub(super) fn is_taken(&mut self, job: &Job<T>, capacity: Option<usize>) -> Vec<Setter<()>> {
        let Some(at) = self.room.iter().position(|waiting| job.is(&waiting.job)) else {
            self.taken += 1;
            return self.have_room(capacity);
        };
        self.queued -= 1;
        self.room.iter_mut().skip(at).for_each(|later| later.number -= 1);
        self.room.remove(at).map(WaitsForRoom::accept).into_iter().collect()
    }
}

impl<T> Mailbox<T> {
    /// Queues a job whose step has been taken, whether there is room for it or not; if not, its sender, who keeps it
    /// too, waits.
    pub(in crate::owner) fn push_or_wait(
        &self,
        job: Sent<T>,
        kept: &Arc<dyn Kept<T>>,
    ) -> Result<Queued, Refused> {
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
        let wake = self.append(&mut inner, &job.about, job.promise, News::Calls);
        drop(inner);
        self.wake_if(wake);
        Ok(queued)
    }

    /// Whoever waited for room goes away, and takes the job back: it is theirs after that. `No` if it has been accepted
    /// by now, or refused.
    pub(in crate::owner) fn leave_room(&self, job: &Arc<dyn Kept<T>>) -> Mine {
        let mut inner = self.inner.lock();
        let place = inner.place_in_line(job);
        let Some(left) = place.and_then(|place| inner.room.remove(place)) else { return Mine::No };
        // Under the lock, or the owner could begin it in between.
        let mine = left.job.ticket().leave();
        drop(inner);
        drop(left);
        mine
    }

    /// Whether the sender of this job waits for room, or would have to if it came to the queue now. Not once it was
    /// accepted, whatever has become of the room since.
    pub(in crate::owner) fn waits_for_room(&self, job: Option<&Arc<dyn Kept<T>>>) -> bool {
        let inner = self.inner.lock();
        let is_full = self.capacity.is_some_and(|capacity| inner.queued - inner.taken >= capacity as u64);
        let Some(job) = job.filter(|_| !seeded(Bug::GrantedWaits)) else { return is_full };
        inner.place_in_line(job).is_some()
            || is_full && inner.open == Open::Yes && !job.ticket().is_accepted()
    }
}
