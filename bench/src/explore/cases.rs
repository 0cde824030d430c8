//! The cases: an owner, some sessions, and what each of them asks of the owner.

use std::fmt;
use std::str::FromStr;

/// *The owner protocol*: one owner with a queue and `sessions` tasks beside it. Each task makes `calls` calls
/// with a reply, then posts its settlement. The owner ends when it has run every job.
///
/// *Rare*: the same with one more task, which posts "close". It is a bug if the close comes after exactly
/// `calls - 1` of the calls of [`VICTIM`]: shallow, but only one place of the order has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    pub sessions: usize,
    pub calls: usize,
    pub rare: bool,
}

/// The session whose calls the bug of a rare case depends on.
pub const VICTIM: usize = 0;

impl Case {
    pub const ALL: [Self; 9] = [
        Self::protocol(1, 1),
        Self::protocol(2, 1),
        Self::protocol(2, 2),
        Self::protocol(2, 3),
        Self::protocol(3, 1),
        Self::protocol(3, 2),
        Self::protocol(3, 3),
        Self::protocol(3, 4),
        Self { rare: true, ..Self::protocol(3, 3) },
    ];

    pub const fn protocol(sessions: usize, calls: usize) -> Self {
        Self { sessions, calls, rare: false }
    }

    /// How many jobs the owner is given.
    pub fn jobs(self) -> usize {
        self.sessions * (self.calls + 1) + usize::from(self.rare)
    }

    /// In how many orders the owner can be given them. What a task asks for comes in its own order, so with S
    /// tasks of J jobs it is (S*J)! / (J!)^S; the close can be anywhere.
    pub fn orders(self) -> u64 {
        let each = self.calls as u64 + 1;
        let mut orders = 1;
        for placed in (0..self.sessions as u64).map(|session| session * each) {
            for job in 1..=each {
                orders = orders * (placed + job) / job;
            }
        }
        if self.rare { orders * self.jobs() as u64 } else { orders }
    }

    /// Whether a close that comes now is the bug.
    pub fn is_the_bug(self, calls_of_victim: usize) -> bool {
        self.rare && calls_of_victim == self.calls - 1
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.rare { "rare " } else { "" };
        write!(f, "{prefix}{},{}", self.sessions, self.calls)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rare, numbers) = match text.strip_prefix("rare ") {
            Some(numbers) => (true, numbers),
            None => (false, text),
        };
        let numbers = numbers.split_once(',').and_then(|(sessions, calls)| {
            Some((sessions.parse().ok().filter(|n| *n > 0)?, calls.parse().ok().filter(|n| *n > 0)?))
        });
        let (sessions, calls) = numbers.ok_or("expected S,K or `rare S,K`, such as 3,3")?;
        Ok(Self { sessions, calls, rare })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_multinomial() {
        let orders = Case::ALL.map(Case::orders);
        assert_eq!(orders, [1, 6, 20, 70, 90, 1_680, 34_650, 756_756, 34_650 * 13]);
    }

    #[test]
    fn a_case_is_parsed_from_what_it_is_shown_as() {
        for case in Case::ALL {
            assert_eq!(case.to_string().parse(), Ok(case));
        }
        assert!("3".parse::<Case>().is_err());
        assert!("0,1".parse::<Case>().is_err());
    }
}
