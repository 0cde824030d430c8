//! Whether the owner accepts jobs, has any left, and has ended; and who is told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Inner, Mailbox, Open, Refused};
use crate::owner::about::About;
use crate::owner::backlog::Backlog;
use crate::owner::error::Panicked;
use crate::owner::hatch::News;
use crate::owner::work::Load;
use crate::platform::{Bug, seeded};
use crate::sync::Place;
use crate::wait::{Access, Cancel, Kind, Lineage, Op, TaskId};

/// Where somebody stands who waits until the owner is idle: the address of a place in the line, once it has one.
#[derive(Default)]
pub(in crate::owner) struct Stands(AtomicUsize);

impl Stands {
    /// It has not come to the line.
    const NOWHERE: usize = 0;
    /// The owner was idle when it came.
    const OVER: usize = 1;
}

impl<T> Inner<T> {
    /// Whether the owner is in no job, and there is none.
    fn is_idle(&self) -> bool {
        self.idle || self.end.is_some()
    }

    /// A promise has been kept, or called off.
    fn owes_one_less(&mut self) {
        self.owed -= 1;
        self.ended = self.ended.and_here();
    }
}

impl<T> Mailbox<T> {
    /// Promises a job: the owner does not end before it came or was called off.
    pub(in crate::owner) fn owe(&self, op: Op) -> Result<(), Refused> {
        self.object.step(op, Kind::Owe);
        let mut inner = self.inner.lock();
        if inner.open != Open::Yes {
            return Err(Refused::Closed);
        }
        inner.owed += 1;
        Ok(())
    }

    /// Keeps a promise with a post. Gives it back if nothing runs any more.
    pub(in crate::owner) fn keep<L: Load<T>>(
        &self,
        op: Op,
        lineage: Option<Arc<Lineage>>,
        sender: TaskId,
        load: L,
    ) -> Result<(), L> {
        self.object.step(op, Kind::Keep);
        let about = About::new(op, lineage, sender);
        let mut inner = self.inner.lock();
        inner.owes_one_less();
        if inner.open == Open::No {
            return Err(load);
        }
        let wake = self.append(&mut inner, &about, load, News::Posts);
        drop(inner);
        self.wake_if(wake);
        Ok(())
    }

    /// Calls a promise off.
    pub(in crate::owner) fn call_off(&self) {
        self.object.step(Op::unasked("called off"), Kind::Keep);
        let mut inner = self.inner.lock();
        inner.owes_one_less();
        let wake = inner.open != Open::No && inner.may_end() && inner.take_parked();
        drop(inner);
        self.wake_if(wake);
    }

    /// A run of a session of this owner begins, whose step has been taken: it is cancelled when the owner is closed.
    pub(in crate::owner) fn enrol(&self, run: &Arc<Cancel>) -> Result<(), Refused> {
        self.runs.lock().push(run.clone());
        if self.inner.lock().open == Open::Yes {
            return Ok(());
        }
        self.runs.lock().retain(|other| !Arc::ptr_eq(run, other));
        Err(Refused::Closed)
    }

    /// That run has ended.
    pub(in crate::owner) fn dismiss(&self, run: &Arc<Cancel>) {
        self.object.step(Op::unasked("end of the run"), Kind::Owe);
        self.runs.lock().retain(|other| !Arc::ptr_eq(run, other));
    }

    /// Accepts nothing from now on, and cancels the runs. What was accepted still runs.
    pub(in crate::owner) fn close(&self) {
        self.object.step(Op::unasked("close"), Kind::Close);
        drop(self.close_to(Open::Draining));
    }

    /// Accepts nothing from now on, cancels the runs, and returns what was accepted and is still in the queue; what
    /// the owner has taken and not begun it refuses itself.
    pub(in crate::owner) fn close_now(&self) -> Backlog<T> {
        self.object.observe();
        self.object.step(Op::unasked("close"), Kind::CloseNow);
        self.close_to(Open::No)
    }

    /// There is nobody to run anything: as [`close_now`](Self::close_now).
    pub(in crate::owner) fn abandon(&self) -> Backlog<T> {
        if self.inner.lock().open == Open::Yes {
            self.object.step(Op::unasked("close"), Kind::Close);
        }
        let mut refused = self.close_to(Open::No);
        if let Some(job) = self.handed() {
            refused.push(&job.about, job.promise);
        }
        refused
    }

    fn close_to(&self, open: Open) -> Backlog<T> {
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

    pub(in crate::owner) fn is_closed(&self) -> bool {
        self.object.step(Op::unasked("is closed?"), Kind::IsClosed);
        self.inner.lock().open != Open::Yes
    }

    /// Waits in line until the owner is idle; none if it is.
    pub(in crate::owner) fn join_idle(&self, stands: &Stands) -> Option<Place<()>> {
        let mut inner = self.inner.lock();
        let place = (!inner.is_idle()).then(|| inner.until_idle.join(Some(self.owner)));
        stands.0.store(place.as_ref().map_or(Stands::OVER, |place| place.given.address()), Ordering::Relaxed);
        place
    }

    /// Whether this waiter stands in line until the owner is idle, or would if it came now. Not once it has been told,
    /// whatever the owner does since.
    pub(in crate::owner) fn waits_for_idle(&self, stands: &Stands) -> bool {
        let inner = self.inner.lock();
        match stands.0.load(Ordering::Relaxed) {
            Stands::NOWHERE => !inner.is_idle(),
            place => inner.until_idle.has(place),
        }
    }

    /// What touches the mailbox in order to wait until the owner is idle.
    pub(in crate::owner) fn idle_arrival(&self) -> Access {
        self.object.observe();
        self.object.access(Kind::Idle)
    }

    /// Waits in line for the end of the owner; or how it ended.
    pub(in crate::owner) fn join_end(&self) -> Result<Place<()>, Result<(), Panicked>> {
        let mut inner = self.inner.lock();
        match &inner.end {
            Some(end) => Err(end.clone()),
            None => Ok(inner.until_end.join(Some(self.owner))),
        }
    }

    /// Leaves either line.
    pub(in crate::owner) fn leave(&self, idle: Option<&Place<()>>, end: Option<&Place<()>>) {
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
    pub(in crate::owner) fn end(&self, how: Result<(), Panicked>) {
        let mut inner = self.inner.lock();
        inner.end = Some(how);
        let told = std::mem::take(&mut inner.until_end).chain(std::mem::take(&mut inner.until_idle));
        drop(inner);
        told.take(if seeded(Bug::EndToldOnce) { 1 } else { usize::MAX }).for_each(|waiting| waiting.set(()));
    }

    /// How the owner ended, if it has.
    pub(in crate::owner) fn how_it_ended(&self) -> Option<Result<(), Panicked>> {
        self.inner.lock().end.clone()
    }
}

#[cfg(all(test, feature = "explore"))]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::Owner;

    #[test]
    fn whoever_was_told_that_the_owner_is_idle_waits_no_more() {
        let owner = Owner::builder("vm").spawn(|| ()).unwrap();
        let mailbox = &owner.handle().0.mailbox;
        let is_busy = || {
            let (end, ended) = mpsc::channel::<()>();
            owner
                .handle()
                .post("busy", move |()| {
                    let _ = ended.recv();
                })
                .unwrap();
            end
        };

        let [early, late] = [(); 2].map(|()| Stands::default());
        let job = is_busy();
        assert!(mailbox.waits_for_idle(&early), "it would have to, if it came");
        let place = mailbox.join_idle(&early).expect("a job goes on");
        assert!(mailbox.waits_for_idle(&early));
        drop(job);
        owner.handle().wait_idle().unwrap();
        assert!(mailbox.join_idle(&late).is_none(), "no job goes on");

        let _job = is_busy();
        assert!(!mailbox.waits_for_idle(&early), "it has been told");
        assert!(!mailbox.waits_for_idle(&late), "it did not have to wait");
        drop(place);
    }
}
