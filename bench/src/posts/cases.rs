//! The cases: how many producers, how large the posts, what is weighed.

use std::fmt;
use std::str::FromStr;

use super::{memory, rate};
use crate::names::by_name;
use crate::owners::Capture;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Posts a second.
    Rate { producers: usize, capture: Capture },
    /// Bytes of a post that waits.
    Queued(Capture),
    /// Bytes of an owner that has nothing to do.
    Idle,
}

impl Case {
    /// In the order of the tables.
    pub const ALL: [Self; 8] = [
        Self::Rate { producers: 1, capture: Capture::Bytes8 },
        Self::Rate { producers: 4, capture: Capture::Bytes8 },
        Self::Rate { producers: 1, capture: Capture::Bytes40 },
        Self::Rate { producers: 4, capture: Capture::Bytes40 },
        Self::Rate { producers: 1, capture: Capture::Bytes120 },
        Self::Queued(Capture::Bytes8),
        Self::Queued(Capture::Bytes40),
        Self::Idle,
    ];

    /// What a reader of the table should know.
    pub fn remark(self) -> String {
        match self {
            Self::Rate { capture, .. } => {
                format!("{} posts that capture {capture} bytes each, until the last has run", rate::POSTS)
            }
            Self::Queued(capture) => {
                format!("{} posts that capture {capture} bytes each, behind a job", memory::QUEUED)
            }
            Self::Idle => {
                format!("the average of {} that have each run one call; stacks not counted", memory::IDLE)
            }
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { producers: 1, capture } => write!(f, "1 producer {capture}"),
            Self::Rate { producers, capture } => write!(f, "{producers} producers {capture}"),
            Self::Queued(capture) => write!(f, "queued bytes {capture}"),
            Self::Idle => f.write_str("idle owner"),
        }
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
        assert!("2 producers 8".parse::<Case>().is_err());
    }
}
