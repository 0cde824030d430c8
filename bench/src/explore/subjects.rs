//! Who is measured.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::cases::Case;
use super::search::{Outcome, Search};
use super::{loom, shuttle, traceforge};
use crate::names::by_name;

/// What a strategy that draws its executions may use up: it never ends by itself, and this many are enough to
/// know its pace.
pub const BUDGET: usize = 100_000;

/// A model checker with its settings.
#[derive(Clone, Copy)]
pub struct Subject {
    pub name: &'static str,
    /// Whether it draws its executions by a seed. It does not claim to have seen every order then.
    pub draws: bool,
    /// The second argument is the seed.
    pub explore: fn(Case, u64, Arc<Search>) -> Outcome,
}

impl Subject {
    pub const fn exhaustive(name: &'static str, explore: fn(Case, u64, Arc<Search>) -> Outcome) -> Self {
        Self { name, draws: false, explore }
    }

    pub const fn drawing(name: &'static str, explore: fn(Case, u64, Arc<Search>) -> Outcome) -> Self {
        Self { name, draws: true, explore }
    }

    /// In the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        let each = [super::ours::SUBJECTS, traceforge::SUBJECTS, loom::SUBJECTS, shuttle::SUBJECTS];
        each.concat().into_iter()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        by_name(Self::all(), |subject| subject.name.to_owned(), name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a bench compares must be the same protocol: whoever reduces to one execution for each order counts
    /// the orders of the formula, and nobody counts fewer. (Depth first without reduction takes too long.)
    #[test]
    fn every_exhaustive_subject_sees_every_order() {
        for subject in Subject::all().filter(|subject| !subject.draws && subject.name != "shuttle-dfs") {
            for case in [Case::protocol(1, 1), Case::protocol(2, 1), Case::protocol(2, 2)] {
                let search = Arc::new(Search::unwatched());
                assert!((subject.explore)(case, 1, search.clone()) == Outcome::Exhausted);
                match subject.name {
                    "loom" => assert!(search.executions() >= case.orders(), "loom in {case}"),
                    optimal => assert_eq!(search.executions(), case.orders(), "{optimal} in {case}"),
                }
            }
        }
    }
}
