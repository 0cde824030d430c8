//! The tasks that can run.

use std::cell::Cell;

use crate::explore::clock::TASKS;

/// No task is in it twice, so there is room for all.
#[derive(Default)]
pub(super) struct Ready {
    tasks: [Cell<u8>; TASKS],
    len: Cell<usize>,
}

impl Ready {
    pub(super) fn clear(&self) {
        self.len.set(0);
    }

    #[inline]
    pub(super) fn push(&self, task: u8) {
        let len = self.len.get();
        self.tasks[len].set(task);
        self.len.set(len + 1);
    }

    /// The newest.
    #[inline]
    pub(super) fn pop(&self) -> Option<u8> {
        let last = self.len.get().checked_sub(1)?;
        self.len.set(last);
        Some(self.tasks[last].get())
    }

    /// This one, whose place the newest gets; the newest, if it is not there.
    #[inline]
    pub(super) fn take(&self, task: u8) -> Option<u8> {
        let (last, before) = self.tasks[..self.len.get()].split_last()?;
        self.len.set(before.len());
        Some(match before.iter().find(|ready| ready.get() == task) {
            Some(wanted) => wanted.replace(last.get()),
            None => last.get(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_comes_first_but_for_the_one_that_is_wanted() {
        let ready = Ready::default();
        (0..5).for_each(|task| ready.push(task));
        assert_eq!(ready.take(1), Some(1));
        assert_eq!(ready.take(9), Some(3));
        assert_eq!(ready.take(2), Some(2));
        assert_eq!([ready.pop(), ready.pop(), ready.pop()], [Some(4), Some(0), None]);
        assert_eq!(ready.take(0), None);
    }
}
