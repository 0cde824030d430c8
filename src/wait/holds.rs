//! What a task holds: the locks it has taken, and on which line.
//!
//! Each task notes that by itself, in words that it alone writes, so that taking a lock costs no word that tasks fight
//! for. For a lock that many may read at once these notes are how it is known who does: whoever wants to know asks all
//! tasks, which only a writer that has to wait does. A lock that one task holds says so itself, and the note of it is
//! there for its line alone, as long as lines are kept.
//!
//! The stores are relaxed. Whoever waits publishes that after them, so somebody who sees the wait sees what the waiter
//! noted before; and what is noted of a task that runs is no matter, since a task that runs is live.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr};

use super::op::{At, Op, Site};
use super::registry;
use super::task::{self, TaskId, TaskRecord};
use crate::platform::atomic::{AtomicUsize, Ordering};
use crate::platform::{self, Record, Unseen};

/// A lock, by its address, as a task holds it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold(usize);

impl Hold {
    /// Together with others who hold it so.
    #[inline(always)]
    pub(crate) fn shared<L>(lock: &L) -> Self {
        const { assert!(align_of::<L>() > 1) };
        Self(ptr::from_ref(lock).addr())
    }

    #[inline(always)]
    const fn is_shared(self) -> bool {
        self.0 & 1 == 0
    }

    /// Alone.
    #[inline(always)]
    pub(crate) fn alone<L>(lock: &L) -> Self {
        Self(Self::shared(lock).0 | 1)
    }
}

/// So many are noted without a list.
const FEW: usize = 4;

/// What one task holds, as often as it has taken it.
pub(super) struct Holds {
    few: Few,
    /// Whether there ever was one more.
    has_more: AtomicBool,
    more: Unseen<Vec<(usize, Line)>>,
}

/// In a cache line of their own: the other words of a task's record are read by others.
#[derive(Default)]
#[repr(align(64))]
struct Few([Place; FEW]);

#[derive(Default)]
struct Place {
    /// A [`Hold`], or 0.
    what: AtomicUsize,
    line: AtomicPtr<u8>,
}

/// Where it was taken, or null.
struct Line(*mut u8);

// SAFETY: it stands for an `At`, which is `Send`.
#[allow(unsafe_code)]
unsafe impl Send for Line {}

impl Default for Holds {
    fn default() -> Self {
        Self { few: Few::default(), has_more: AtomicBool::new(false), more: Unseen::new(Vec::new()) }
    }
}

impl Holds {
    /// Once more.
    #[inline(always)]
    fn add(&self, Hold(what): Hold, line: *mut u8) {
        match self.few.0.iter().find(|place| place.what.load(Ordering::Relaxed) == 0) {
            Some(place) => {
                place.line.store(line, Ordering::Relaxed);
                place.what.store(what, Ordering::Relaxed);
            }
            None => self.add_more(what, Line(line)),
        }
    }

    #[cold]
    #[inline(never)]
    fn add_more(&self, what: usize, line: Line) {
        self.has_more.store(true, Ordering::Relaxed);
        self.more.lock().push((what, line));
    }

    /// Once less; says whether it was there.
    #[inline(always)]
    fn remove(&self, Hold(what): Hold) -> bool {
        match self.few.0.iter().find(|place| place.what.load(Ordering::Relaxed) == what) {
            Some(place) => {
                place.what.store(0, Ordering::Relaxed);
                true
            }
            None => self.has_more.load(Ordering::Relaxed) && self.remove_more(what),
        }
    }

    #[cold]
    #[inline(never)]
    fn remove_more(&self, what: usize) -> bool {
        let mut more = self.more.lock();
        let at = more.iter().rposition(|(other, _)| *other == what);
        at.map(|at| more.swap_remove(at)).is_some()
    }

    fn has(&self, Hold(what): Hold) -> bool {
        self.few.0.iter().any(|place| place.what.load(Ordering::Relaxed) == what)
            || self.more.lock().iter().any(|(other, _)| *other == what)
    }

    fn line(&self, Hold(what): Hold) -> Option<At> {
        let few = self.few.0.iter().find(|place| place.what.load(Ordering::Relaxed) == what);
        let line = few.map(|place| place.line.load(Ordering::Relaxed)).or_else(|| {
            let more = self.more.lock();
            more.iter().find(|(other, _)| *other == what).map(|(_, line)| line.0)
        });
        line.and_then(At::of_ptr)
    }

    /// The task has ended; what it has not given back nobody gives back.
    pub(super) fn clear(&self) {
        self.few.0.iter().for_each(|place| place.what.store(0, Ordering::Relaxed));
        if self.has_more.load(Ordering::Relaxed) {
            self.more.lock().clear();
        }
    }
}

static LINES_ARE_KEPT: AtomicBool = AtomicBool::new(true);

/// Whether locks note the line that takes them, so that reports can name it: on until it is switched off. It costs a
/// note for each time that one is taken.
pub fn keep_lines(keep: bool) {
    LINES_ARE_KEPT.store(keep, Ordering::Relaxed);
}

/// Whether a lock that one task holds is to be noted.
#[inline(always)]
fn lines_are_kept() -> bool {
    platform::KEEPS_LINES && LINES_ARE_KEPT.load(Ordering::Relaxed)
}

/// The calling task holds this too, since it did that.
#[inline(always)]
pub(crate) fn hold(what: Hold, op: Op) {
    note(task::my_record, what, op);
}

/// The same of another.
pub(crate) fn hold_for(task: TaskId, what: Hold, op: Op) {
    note(|| registry::record(task), what, op);
}

#[inline(always)]
fn note(whose: impl FnOnce() -> Option<Record<TaskRecord>>, what: Hold, op: Op) {
    let kept = lines_are_kept();
    if what.is_shared() || kept {
        let line = if kept { op.parts().1.to_ptr() } else { ptr::null_mut() };
        whose().into_iter().for_each(|record| record.holds.add(what, line));
    }
}

/// The task has it in another way, where it took it.
pub(crate) fn hold_otherwise(task: TaskId, before: Hold, what: Hold) {
    if let Some(record) = registry::record(task) {
        let line = if platform::KEEPS_LINES { record.holds.line(before) } else { None };
        if before.is_shared() || platform::KEEPS_LINES {
            record.holds.remove(before);
        }
        if what.is_shared() || line.is_some() {
            record.holds.add(what, line.map_or(ptr::null_mut(), At::to_ptr));
        }
    }
}

/// The calling task is about to give it back; or, if it never had it, whoever else is noted to share it.
#[inline(always)]
pub(crate) fn unhold(what: Hold) {
    if what.is_shared() || platform::KEEPS_LINES {
        // In the last moments of a thread nothing was noted, and what others note is theirs.
        let was_noted = task::my_record().is_none_or(|record| record.holds.remove(what));
        if !was_noted && what.is_shared() {
            unhold_by_another(what);
        }
    }
}

/// Another task's lock is about to be given back for it.
#[cold]
#[inline(never)]
pub(crate) fn unhold_by_another(what: Hold) {
    registry::records().any(|(_, record)| record.holds.remove(what));
}

/// Nobody has it any more, whatever was noted: it is gone.
#[cold]
pub(crate) fn forget(what: Hold) {
    for (_, record) in registry::records() {
        while record.holds.remove(what) {}
    }
}

/// Who holds it.
pub(crate) fn holders(what: Hold) -> Vec<TaskId> {
    registry::records().filter(|(_, record)| record.holds.has(what)).map(|(task, _)| task).collect()
}

/// Where one of these tasks took it.
pub(crate) fn line_of(what: Hold, tasks: &[TaskId]) -> Option<Site> {
    tasks.iter().find_map(|task| registry::record(*task)?.holds.line(what)).map(At::site)
}
