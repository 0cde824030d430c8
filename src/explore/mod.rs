//! The explorer: every interleaving of ordinary code, inside a plain `cargo test`.
//!
//! [`explore`](explore()) runs a closure again and again, each time in another interleaving of its tasks, until
//! one fails or there are no more. The closure is ordinary code, compiled ordinarily, that waits by this crate's
//! means: owners and sessions, [`sync`](crate::sync) and [`thread`](mod@crate::thread). A failure is explained: who
//! waits for whom since which line, what led there, and one line that plays it again.
//!
//! What it explores is sequentially consistent; the order of weaker atomics is loom's part. `std`'s
//! `thread_local!` and `thread::current()` are shared by all tasks of an execution and by all executions: keep
//! what belongs to a task in the task. Randomness, the time and the order of a `HashMap` make two executions of
//! one prefix part, which is found and named.
//!
//! A build without optimization explores thirty times slower than one in release: `opt-level = 2` in the profile of the
//! tests, for this package at least (`[profile.dev.package."*"]`), is worth a few seconds of compiling.
//!
//! | file | idea |
//! | --- | --- |
//! | `dependence.rs` | which steps depend on each other: the one table |
//! | `clock.rs` | what has happened before what |
//! | `names.rs` | names that do not depend on the schedule, and which objects need steps |
//! | `execution/` | one execution: the tasks as coroutines, and the scheduler they ask |
//! | `branches.rs` | what is still to be explored beside the path |
//! | `search.rs` | optimal partial order reduction along one path |
//! | `crown.rs` | the upper part of the tree, shared by workers |
//! | `classes.rs` | which class an execution is of, and how much of what is drawn has not been seen |
//! | `sampling.rs` | random walks, priorities, preemption bounds |
//! | `schedule.rs` | an interleaving as one line |
//! | `explain.rs` | a counterexample made simple and told |
//! | `supervise.rs` | the threads, watched |
//! | `overflow.rs` | a stack that overflows, named |
//! | `panics.rs` | panics, told to the execution |
//! | `explorer.rs` | what can be asked of an exploration |
//! | `exploration.rs` | from the settings to the report |
//! | `report.rs` | what came of it |

mod branches;
mod classes;
mod clock;
mod crown;
mod dependence;
mod execution;
mod explain;
mod exploration;
mod explorer;
mod mutants;
mod names;
#[cfg(test)]
mod oracle;
mod overflow;
mod panics;
mod report;
mod sampling;
mod schedule;
mod search;
mod supervise;

pub use explorer::{Explorer, Strategy, Timeouts, explore};
pub use report::{Counterexample, Report, Verdict};
pub use schedule::{ParseScheduleError, Schedule};

/// The variable that holds a schedule to be played again.
const REPLAY: &str = "IMPASSE_REPLAY";
