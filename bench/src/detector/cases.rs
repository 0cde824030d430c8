//! What is measured.

use std::fmt;
use std::str::FromStr;

use crate::names::by_name;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// A call to an owner and the way back, beside the same program without a detector: where `roundtrip` has it.
    Call(&'static str),
    /// The wait that completes a cycle of so many tasks.
    Cycle(usize),
    /// The wait that completes a knot of so many tasks, each of which any of the others could end.
    Knot(usize),
    /// What is left of locks that are gone.
    Locks,
    /// What is left of threads that are gone.
    Threads,
}

impl Case {
    /// In the order of the tables.
    pub const ALL: [Self; 13] = [
        Self::Call("own cores"),
        Self::Call("pinned"),
        Self::Cycle(2),
        Self::Cycle(4),
        Self::Cycle(16),
        Self::Cycle(64),
        Self::Cycle(256),
        Self::Knot(2),
        Self::Knot(4),
        Self::Knot(16),
        Self::Knot(64),
        Self::Locks,
        Self::Threads,
    ];

    /// What a reader of the table should know.
    pub const fn remark(self) -> &'static str {
        match self {
            Self::Call(_) => "round trip; `undetected` is the same program, built with `--cfg undetected`",
            Self::Cycle(_) => "from the wait that completes it to the error, the report included",
            Self::Knot(_) => "the same, where each waits for a channel to which all the others could send",
            Self::Locks => "10 million, taken and dropped: heap at the end less heap after the first million",
            Self::Threads => "1 million, joined: heap at the end less heap after the first 100,000",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(place) => write!(f, "call {place}"),
            Self::Cycle(tasks) => write!(f, "cycle {tasks}"),
            Self::Knot(tasks) => write!(f, "knot {tasks}"),
            Self::Locks => f.write_str("locks"),
            Self::Threads => f.write_str("threads"),
        }
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        by_name(Self::ALL, Self::to_string, name)
    }
}
