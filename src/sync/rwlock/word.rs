//! The word of the lock: who may hold it beside whom.

use crate::wait::{Kind, TaskId};

/// How a task wants the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Read,
    /// To read, and to be the next to write.
    Upgradable,
    Write,
    /// To write what it reads as [`Upgradable`](Self::Upgradable) so far.
    Upgrade,
}

/// The word of the lock: a writer, or how many read; whether one of those is upgradable; whether somebody waits.
#[derive(Clone, Copy)]
pub(super) struct Word(pub(super) u64);

/// Set in the word while somebody is in the line.
pub(super) const WAITED_FOR: u64 = 1 << 63;
/// The word counts readers: it does, once somebody has read, until somebody writes.
const READ: u64 = 1 << 62;
/// One of the readers is upgradable.
const UPGRADABLE: u64 = 1 << 61;
/// What is left of the word: the count, or the writer.
const REST: u64 = UPGRADABLE - 1;
const _: () = assert!(!REST & !TaskId::SPARE == 0);

impl Word {
    pub(super) const fn readers(self) -> u64 {
        if self.0 & READ == 0 { 0 } else { self.0 & REST }
    }

    pub(super) fn writer(self) -> Option<TaskId> {
        if self.0 & READ == 0 { TaskId::from_word(self.0 & REST) } else { None }
    }

    pub(super) const fn is_held(self) -> bool {
        self.0 & REST != 0
    }

    pub(super) const fn is_waited_for(self) -> bool {
        self.0 & WAITED_FOR != 0
    }

    /// With one more holder, if that one may hold it beside those who do.
    pub(super) fn with(self, mode: Mode, task: TaskId) -> Option<Self> {
        let waited_for = self.0 & WAITED_FOR;
        let free = !self.is_held();
        let word = match mode {
            Mode::Read if free || self.0 & READ != 0 => (self.0 | READ) + 1,
            Mode::Upgradable if free || self.0 & (READ | UPGRADABLE) == READ => {
                (self.0 | READ | UPGRADABLE) + 1
            }
            Mode::Write if free => waited_for | task.word(),
            Mode::Upgrade if self.readers() == 1 => waited_for | task.word(),
            _ => return None,
        };
        Some(Self(word))
    }

    /// With one holder less.
    pub(super) const fn without(self, mode: Mode) -> Self {
        Self(match mode {
            Mode::Write | Mode::Upgrade => self.0 & WAITED_FOR,
            Mode::Read => self.0 - 1,
            Mode::Upgradable => (self.0 & !UPGRADABLE) - 1,
        })
    }
}

impl Mode {
    pub(super) const fn arrives(self) -> Kind {
        if matches!(self, Self::Read) { Kind::Read } else { Kind::Lock }
    }

    pub(super) const fn tries(self) -> Kind {
        if matches!(self, Self::Read) { Kind::TryRead } else { Kind::TryLock }
    }

    /// Whether two may not hold the lock at once.
    pub(super) const fn excludes(self, other: Self) -> bool {
        !matches!((self, other), (Self::Read, Self::Read | Self::Upgradable) | (Self::Upgradable, Self::Read))
    }
}
