//! What a task holds together with others: a lock that many may read at once.
//!
//! Each task notes by itself what it reads, in words that it alone writes, so that taking such a lock costs no
//! word that readers fight for. Whoever wants to know who reads a lock asks all tasks, which only a writer that has to
//! wait does.
//!
//! The stores are relaxed. Whoever waits publishes that after them, so somebody who sees the wait sees what the waiter
//! noted before; and what is noted of a task that runs is no matter, since a task that runs is live.

use super::registry;
use super::task::{self, TaskId};
use crate::platform::Unseen;
use crate::platform::atomic::{AtomicUsize, Ordering};

/// So many are noted without a list.
const FEW: usize = 4;

/// What one task shares, by address, as often as it has taken it.
pub(super) struct Shares {
    few: [AtomicUsize; FEW],
    more: Unseen<Vec<usize>>,
}

impl Default for Shares {
    fn default() -> Self {
        Self { few: std::array::from_fn(|_| AtomicUsize::new(0)), more: Unseen::new(Vec::new()) }
    }
}

impl Shares {
    /// Once more.
    #[inline]
    pub(super) fn add(&self, what: usize) {
        match self.few.iter().find(|place| place.load(Ordering::Relaxed) == 0) {
            Some(place) => place.store(what, Ordering::Relaxed),
            None => self.more.lock().push(what),
        }
    }

    /// Once less; says whether it was there.
    #[inline]
    pub(super) fn remove(&self, what: usize) -> bool {
        if let Some(place) = self.few.iter().find(|place| place.load(Ordering::Relaxed) == what) {
            place.store(0, Ordering::Relaxed);
            return true;
        }
        let mut more = self.more.lock();
        let at = more.iter().rposition(|other| *other == what);
        at.map(|at| more.swap_remove(at)).is_some()
    }

    fn holds(&self, what: usize) -> bool {
        self.few.iter().any(|place| place.load(Ordering::Relaxed) == what) || self.more.lock().contains(&what)
    }

    /// The task has ended; what it has not given back nobody gives back.
    pub(super) fn clear(&self) {
        self.few.iter().for_each(|place| place.store(0, Ordering::Relaxed));
        self.more.lock().clear();
    }
}

/// The task holds this too, from now on.
#[inline]
pub(crate) fn share(task: TaskId, what: usize) {
    task::with_record(task, |record| record.shares.add(what));
}

/// The task is about to give it back; or, if it never had it, whoever else is noted to have it.
pub(crate) fn unshare(task: TaskId, what: usize) {
    let was_noted = task::with_record(task, |record| record.shares.remove(what));
    if was_noted != Some(true) {
        registry::records().any(|(_, record)| record.shares.remove(what));
    }
}

/// Nobody has it any more, whatever was noted: it is gone.
pub(crate) fn forget(what: usize) {
    for (_, record) in registry::records() {
        while record.shares.remove(what) {}
    }
}

/// Who holds it.
pub(crate) fn sharers(what: usize) -> Vec<TaskId> {
    registry::records().filter(|(_, record)| record.shares.holds(what)).map(|(task, _)| task).collect()
}
