//! A number of permits that tasks take and give back.

use std::collections::VecDeque;
use std::fmt;
use std::mem;

use super::made::Made;
use super::slot::{Setter, slot};
use crate::platform;
use crate::wait::{self, Arrival, IntoOp, Kind, Object, Op, Providers, Request, Resource, Terms, WaitError};

/// A counting semaphore. Those who wait are served in the order in which they came.
///
/// ```
/// # fn main() -> Result<(), impasse::WaitError> {
/// let permits = impasse::sync::Semaphore::new(2);
/// let one = permits.acquire();
/// let two = permits.checked_acquire()?;
/// assert!(permits.try_acquire().is_none());
/// drop(one);
/// assert!(permits.try_acquire().is_some());
/// # drop(two);
/// # Ok(())
/// # }
/// ```
pub struct Semaphore {
    made: Made,
    object: Object,
    state: platform::Mutex<State>,
}

struct State {
    permits: usize,
    waiting: VecDeque<Waiting>,
    next: u64,
}

struct Waiting {
    number: u64,
    wants: usize,
    setter: Setter<()>,
}

impl State {
    /// Takes so many permits, if they are there and nobody waits.
    fn take(&mut self, wants: usize) -> bool {
        let taken = self.waiting.is_empty() && self.permits >= wants;
        if taken {
            self.permits -= wants;
        }
        taken
    }

    /// Whoever can be served now, in the order of arrival.
    fn served(&mut self) -> Vec<Setter<()>> {
        let mut served = Vec::new();
        while self.waiting.front().is_some_and(|first| first.wants <= self.permits) {
            let first = self.waiting.pop_front().expect("it was there");
            self.permits -= first.wants;
            served.push(first.setter);
        }
        served
    }
}

impl Semaphore {
    /// So many permits. Reports call it by this line.
    #[track_caller]
    #[must_use]
    pub fn new(permits: usize) -> Self {
        Self {
            made: Made::at("".into_op()),
            object: Object::new(),
            state: platform::Mutex::new(State { permits, waiting: VecDeque::new(), next: 0 }),
        }
    }

    /// Takes a permit, waiting for one if there is none.
    ///
    /// # Panics
    ///
    /// If the run on whose behalf the task waits is cancelled, it unwinds without a word.
    ///
    /// # Blocking
    ///
    /// Until there is one. Anybody could add permits: the wait is shown, and counts as live.
    #[track_caller]
    pub fn acquire(&self) -> SemaphorePermit<'_> {
        self.acquire_many(1)
    }

    /// Takes so many permits at once.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Blocking
    ///
    /// As `acquire`.
    #[track_caller]
    pub fn acquire_many(&self, permits: usize) -> SemaphorePermit<'_> {
        let op = "acquire".into_op();
        wait::insist(|terms| self.take(permits, op, terms))
    }

    /// As [`acquire`](Self::acquire), with an error to return.
    ///
    /// # Errors
    ///
    /// [`WaitError::Cancelled`] if the run on whose behalf the task waits is cancelled. Never a deadlock: the wait
    /// counts as live.
    #[track_caller]
    pub fn checked_acquire(&self) -> Result<SemaphorePermit<'_>, WaitError> {
        self.take(1, "acquire".into_op(), Terms::Fallible)
    }

    /// As [`acquire_many`](Self::acquire_many), with an error to return.
    ///
    /// # Errors
    ///
    /// As [`checked_acquire`](Self::checked_acquire).
    #[track_caller]
    pub fn checked_acquire_many(&self, permits: usize) -> Result<SemaphorePermit<'_>, WaitError> {
        self.take(permits, "acquire".into_op(), Terms::Fallible)
    }

    /// Takes a permit if there is one.
    #[track_caller]
    pub fn try_acquire(&self) -> Option<SemaphorePermit<'_>> {
        self.object.step("try_acquire".into_op(), Kind::Store);
        let taken = self.state.lock().take(1);
        taken.then_some(SemaphorePermit { semaphore: self, permits: 1 })
    }

    /// Adds permits that nobody had before.
    #[track_caller]
    pub fn add_permits(&self, permits: usize) {
        self.object.step("add_permits".into_op(), Kind::Store);
        self.give_back(permits);
    }

    /// How many permits are there.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.object.step(Op::unasked("available_permits"), Kind::Load);
        self.state.lock().permits
    }

    fn take(&self, wants: usize, op: Op, terms: Terms) -> Result<SemaphorePermit<'_>, WaitError> {
        let arrival = Arrival::As(self.object.access(Kind::Store));
        let request = Request { arrival, terms, ..Request::new(self, op) };
        wait::door(request, |inside| {
            let mut state = self.state.lock();
            if state.take(wants) {
                return Ok(());
            }
            let (setter, given) = slot(None);
            let number = state.next;
            state.next += 1;
            state.waiting.push_back(Waiting { number, wants, setter });
            drop(state);
            inside.until(&given).map(drop).or_else(|error| {
                let mut state = self.state.lock();
                let at = state.waiting.iter().position(|waiting| waiting.number == number);
                let left = at.and_then(|at| state.waiting.remove(at));
                // Those behind it may have waited for it alone.
                let served = state.served();
                drop(state);
                served.into_iter().for_each(|setter| setter.set(()));
                // What is being given is not lost.
                if left.is_some() { Err(error) } else { wait::surely(&given).map(drop) }
            })
        })?;
        Ok(SemaphorePermit { semaphore: self, permits: wants })
    }

    fn give_back(&self, permits: usize) {
        let mut state = self.state.lock();
        state.permits += permits;
        let served = state.served();
        drop(state);
        served.into_iter().for_each(|setter| setter.set(()));
    }
}

impl Resource for Semaphore {
    fn providers(&self) -> Providers {
        Providers::Open
    }

    fn name(&self) -> String {
        format!("a permit of {}", self.made.name("semaphore"))
    }
}

/// Permits of a [`Semaphore`], given back when dropped.
#[must_use = "dropped at once, the permit is given back at once"]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

impl SemaphorePermit<'_> {
    /// Never gives the permits back.
    pub fn forget(self) {
        mem::forget(self);
    }
}

impl Drop for SemaphorePermit<'_> {
    fn drop(&mut self) {
        self.semaphore.object.step(Op::unasked("release"), Kind::Store);
        self.semaphore.give_back(self.permits);
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("name", &self.made.name("semaphore")).finish_non_exhaustive()
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemaphorePermit").field("permits", &self.permits).finish_non_exhaustive()
    }
}
