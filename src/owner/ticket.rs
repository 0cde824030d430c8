//! What the one who waits for a job and the one who runs it know of each other.

use crate::platform::atomic::{AtomicU8, Ordering};

/// How far a job is that somebody waits for.
///
/// ```text
///   QUEUED --- begin ---> BEGUN          the owner runs it
///     |  \
///     |   `--- leave ---> LEFT           whoever waited takes it back; the owner skips it
///     `------- need ----> NEEDED         it is part of what its owner waits for; then as above
/// ```
///
/// Beside that, whoever waits for room only knows by ROOM that the job goes its way without them.
///
/// Each of the three is one operation on one word, so of `begin`, `leave` and `need` one is the first.
#[derive(Debug, Default)]
pub(super) struct Ticket(AtomicU8);

const BEGUN: u8 = 1;
const LEFT: u8 = 2;
const NEEDED: u8 = 4;
const ROOM: u8 = 8;

/// What comes of the wish to begin a job, or to leave it.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Mine {
    /// The closure is the asker's, who alone may touch it.
    Yes,
    /// Somebody else came first.
    No,
}

impl Ticket {
    /// The owner takes the job.
    pub(super) fn begin(&self) -> Mine {
        match self.0.fetch_or(BEGUN, Ordering::AcqRel) & (LEFT | BEGUN) {
            0 => Mine::Yes,
            _ => Mine::No,
        }
    }

    /// Whoever waited goes away.
    pub(super) fn leave(&self) -> Mine {
        match self.0.fetch_or(LEFT, Ordering::AcqRel) & (LEFT | BEGUN) {
            0 => Mine::Yes,
            _ => Mine::No,
        }
    }

    /// The owner waits for something that waits for this job; `false` if it has begun it already.
    #[must_use]
    pub(super) fn need(&self) -> bool {
        self.0.fetch_or(NEEDED, Ordering::AcqRel) & (BEGUN | LEFT) == 0
    }

    pub(super) fn is_needed(&self) -> bool {
        self.0.load(Ordering::Acquire) & NEEDED != 0
    }

    /// There is room for the job: its sender does not wait for it any more.
    pub(super) fn get_room(&self) {
        self.0.fetch_or(ROOM, Ordering::AcqRel);
    }

    pub(super) fn has_room(&self) -> bool {
        self.0.load(Ordering::Acquire) & ROOM != 0
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire) & BEGUN != 0
    }
}
