//! Vector clocks: which events have happened before which.

/// How many tasks one exploration can tell apart.
pub(super) const TASKS: usize = 32;

/// How many events of each task have happened for somebody (C. Fidge and F. Mattern, 1988).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(align(16))]
pub(super) struct Clock([i16; TASKS]);

impl Clock {
    /// Nothing has happened.
    pub(super) const ZERO: Self = Self([0; TASKS]);

    /// What has happened for `other` has happened here too.
    #[inline]
    pub(super) fn join(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).max(*theirs);
        }
    }

    /// One more event of this task; returns its number.
    #[inline]
    pub(super) fn tick(&mut self, task: u8) -> i16 {
        // All of them at once: a clock is copied as a whole soon after, and would wait for a single one's store.
        for (of, n) in self.0.iter_mut().enumerate() {
            *n += i16::from(of == task as usize);
        }
        self.0[task as usize]
    }

    /// Whether the `n`th event of `task` has happened.
    #[inline]
    pub(super) fn knows(&self, task: u8, n: i16) -> bool {
        self.0[task as usize] >= n
    }
}
