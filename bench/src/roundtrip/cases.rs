//! The cases: where the caller and the owner stand.

use std::fmt;
use std::str::FromStr;

use crate::names::by_name;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    OwnCores,
    Free,
    Pinned,
    PinnedBusy,
    FourCallers,
    Inline,
}

impl Case {
    /// In the order of the tables.
    pub const ALL: [Self; 6] =
        [Self::OwnCores, Self::Free, Self::Pinned, Self::PinnedBusy, Self::FourCallers, Self::Inline];

    /// How many threads call at the same time.
    pub fn callers(self) -> usize {
        if self == Self::FourCallers { 4 } else { 1 }
    }

    /// Odd, so that a median is a round. Beside a neighbour, how often that one runs in between is a matter of chance,
    /// and the round with it: the medians of 11 rounds lie 5 % apart where nothing has changed.
    pub fn rounds(self) -> usize {
        if self == Self::PinnedBusy { 45 } else { 11 }
    }

    /// What a reader of the table should know.
    pub fn remark(self) -> &'static str {
        match self {
            Self::OwnCores => "caller and owner each held on a processor of its own",
            Self::Free => "nobody is pinned",
            Self::Pinned => "caller and owner held on the same processor",
            Self::PinnedBusy => "the same, beside a thread that never pauses",
            Self::FourCallers => "nobody is pinned; the times of all four",
            Self::Inline => "from inside a job of the same owner, where a peer would wait for itself",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnCores => "own cores",
            Self::Free => "free",
            Self::Pinned => "pinned",
            Self::PinnedBusy => "pinned busy",
            Self::FourCallers => "4 callers",
            Self::Inline => "inline",
        })
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        by_name(Self::ALL, Self::to_string, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_parsed_from_what_it_is_shown_as() {
        for case in Case::ALL {
            assert_eq!(case.to_string().parse(), Ok(case));
        }
        assert!("idle".parse::<Case>().is_err());
    }
}
