//! What is measured.

use std::fmt;
use std::str::FromStr;

use crate::names::by_name;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Uncontended,
    Nested,
    Contended2,
    Read1,
    Read2,
    /// Two locks, crossed.
    DetectAbBa,
    /// The seed's: a job that waits for a run that calls the owner.
    DetectSeed,
}

impl Case {
    /// In the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::Uncontended,
        Self::Nested,
        Self::Contended2,
        Self::Read1,
        Self::Read2,
        Self::DetectAbBa,
        Self::DetectSeed,
    ];

    pub fn is_detection(self) -> bool {
        matches!(self, Self::DetectAbBa | Self::DetectSeed)
    }

    /// What a reader of the table should know.
    pub fn remark(self) -> String {
        match self {
            Self::Uncontended => "one thread takes one lock and gives it back",
            Self::Nested => "one thread takes a second lock inside the first",
            Self::Contended2 => {
                "two threads on processors of their own fight for one lock, a few steps of work in between"
            }
            Self::Read1 => "one thread reads",
            Self::Read2 => "two threads on processors of their own read at once",
            Self::DetectAbBa => {
                "from the wait that completes the cycle to the report; parking_lot is asked every 10 ms"
            }
            Self::DetectSeed => {
                "the same for a callback to an owner that waits for its run; the peers see no such wait"
            }
        }
        .into()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uncontended => "uncontended",
            Self::Nested => "nested",
            Self::Contended2 => "contended 2",
            Self::Read1 => "rwlock read 1",
            Self::Read2 => "rwlock read 2",
            Self::DetectAbBa => "detect ab-ba",
            Self::DetectSeed => "detect seed",
        })
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        by_name(Self::ALL, Self::to_string, name)
    }
}
