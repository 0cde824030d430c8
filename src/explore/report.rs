//! What came of an exploration.

use std::fmt;
use std::time::Duration;

use super::classes::Drawn;
use super::schedule::{Schedule, Told};
use crate::wait::{Deadlock, Waiting, op};

/// What an exploration says of the program. Only the first is green.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Every interleaving was explored, and nothing is wrong with any.
    Verified,
    /// Tasks wait for each other, or for something that never comes.
    Deadlock,
    /// A task panicked.
    Panicked,
    /// A task blocks in something the explorer cannot see.
    Blocked,
    /// A limit was met before the search ended: nothing is wrong with what was explored.
    Truncated,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Verified => "verified",
            Self::Deadlock => "deadlock",
            Self::Panicked => "panicked",
            Self::Blocked => "blocked",
            Self::Truncated => "truncated",
        })
    }
}

/// What is wrong with an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// A cycle of waits.
    Deadlock(Deadlock),
    /// Nothing can go on, and there is no cycle.
    Hang(Vec<Left>),
    /// Task, message, place.
    Panic(String, String, String),
    /// Two executions of one prefix part.
    Parted(String),
    /// The step limit; the tasks that went on until then, with how many of the last steps were theirs.
    Endless(usize, Vec<(String, usize)>),
    /// Blocked out of sight: task, how many steps had been taken, what the operating system says.
    OutOfSight(String, u64, String),
}

impl Failure {
    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Deadlock(_) | Self::Hang(_) => Verdict::Deadlock,
            Self::Panic(..) | Self::Parted(_) => Verdict::Panicked,
            Self::Endless(..) => Verdict::Truncated,
            Self::OutOfSight(..) => Verdict::Blocked,
        }
    }
}

/// A task that is left when nothing can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) task: String,
    pub(super) waiting: Option<Waiting>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock(deadlock) => write!(f, "{deadlock}"),
            Self::Hang(left) => {
                write!(f, "nothing can go on, and no cycle is to blame")?;
                let says = |left: &Left| match &left.waiting {
                    Some(waiting) => {
                        let by = match &waiting.held_by {
                            Some(provider) => format!("which {provider} could give, and will not"),
                            None => "which anybody could give, and nobody is left to".into(),
                        };
                        (format!("{} waits for {}, {by}", left.task, waiting.waits_for), waiting.op)
                    }
                    None => {
                        let idle = "has nothing to do and was never told to end: close it, or drop its Owner";
                        (format!("{} {idle}", left.task), op::Op::unasked(""))
                    }
                };
                let lines: Vec<_> = left.iter().map(says).collect();
                op::in_columns(&lines).try_for_each(|line| write!(f, "\n{}", line.trim_end()))
            }
            Self::Panic(task, message, place) => write!(f, "{task} panicked at {place}:\n  {message}"),
            Self::Parted(how) => write!(f, "the program does not do the same thing twice: {how}"),
            Self::Endless(limit, tasks) => {
                write!(f, "an execution did not end within {limit} steps; of the last of them were taken")?;
                tasks.iter().try_for_each(|(task, steps)| write!(f, "\n  {steps:>6} by {task}"))
            }
            Self::OutOfSight(task, step, state) => write!(
                f,
                "{task} blocks in something that the explorer cannot see, after {step} steps ({state}): a lock, \
                 a channel or a sleep that is not this crate's. Its thread was left to itself."
            ),
        }
    }
}

/// An execution with which something is wrong, and how to play it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    pub(super) failure: Failure,
    pub(super) schedule: Schedule,
    pub(super) found_by: String,
    pub(super) story: Vec<Told>,
}

impl Counterexample {
    /// The schedule that leads there.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The cycle, if that is what is wrong.
    #[must_use]
    pub fn deadlock(&self) -> Option<&Deadlock> {
        match &self.failure {
            Failure::Deadlock(deadlock) => Some(deadlock),
            _ => None,
        }
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.failure)?;
        if !self.story.is_empty() {
            write!(f, "\nwhat led there, found by {}:", self.found_by)?;
            let says = |told: &Told| (told.task.clone(), told.op);
            let lines: Vec<_> = self.story.iter().map(says).collect();
            op::in_columns(&lines).try_for_each(|line| write!(f, "\n{}", line.trim_end()))?;
        }
        if !self.schedule.is_empty() {
            let thread = std::thread::current();
            let test = thread.name().filter(|name| *name != "main").unwrap_or("NAME_OF_THE_TEST");
            write!(f, "\nplay it again: {}='{}' cargo test {test}", super::REPLAY, self.schedule)?;
        }
        Ok(())
    }
}

/// What came of an exploration. Displays as its verdict, with the explanation of a counterexample.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) verdict: Verdict,
    pub(super) strategy: String,
    pub(super) executions: u64,
    pub(super) redundant: u64,
    pub(super) deadlocked: u64,
    pub(super) forgotten: u64,
    pub(super) drawn: Option<Drawn>,
    pub(super) longest: Schedule,
    pub(super) limit: Option<String>,
    pub(super) counterexample: Option<Counterexample>,
    pub(super) time: Duration,
}

impl Report {
    /// What it says of the program.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How many executions the search took to say so. What led up to it is not counted: the hunt, and
    /// executions after which the search began anew because they showed that something is shared.
    #[must_use]
    pub fn executions(&self) -> u64 {
        self.executions
    }

    /// How many classes of executions were seen: executions less the redundant ones. If a deadlock was returned
    /// as an error in some of them, a class may have been counted more than once.
    ///
    /// A sampling strategy tells classes apart by a fingerprint of 64 bits, from the execution on in which something
    /// was last found to be shared.
    #[must_use]
    pub fn classes(&self) -> u64 {
        self.drawn.as_ref().map_or(self.executions - self.redundant, Drawn::classes)
    }

    /// After a sampling strategy, about how likely the next execution that it draws is of a class that none has
    /// shown: the share of the executions whose class no other has shown (the estimator of Good and Turing, for
    /// draws that do not depend on each other: random walks do not, and the others hardly do).
    ///
    /// Small says that going on in *this* way will show little, and nothing of what is seldom drawn so.
    #[must_use]
    pub fn unseen(&self) -> Option<f64> {
        self.drawn.as_ref().map(Drawn::unseen)
    }

    /// How many executions were given up because all they could have led to had been explored.
    #[must_use]
    pub fn redundant(&self) -> u64 {
        self.redundant
    }

    /// In how many executions a deadlock closed or a hang was left.
    #[must_use]
    pub fn deadlocked(&self) -> u64 {
        self.deadlocked
    }

    /// How many tasks could not be ended and were left suspended.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The schedule of the longest execution.
    #[must_use]
    pub fn longest(&self) -> &Schedule {
        &self.longest
    }

    /// The limit that was met, in words, if one was; or what the verdict does not cover.
    #[must_use]
    pub fn limit(&self) -> Option<&str> {
        self.limit.as_deref()
    }

    /// What was found, if something was.
    #[must_use]
    pub fn counterexample(&self) -> Option<&Counterexample> {
        self.counterexample.as_ref()
    }

    /// How long it took.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Does nothing if every interleaving is right.
    ///
    /// # Panics
    ///
    /// With the explanation, under every verdict but [`Verdict::Verified`].
    #[track_caller]
    pub fn assert_verified(&self) {
        assert!(self.verdict == Verdict::Verified, "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verdict, executions, redundant, strategy, .. } = self;
        write!(f, "{verdict}: {executions} executions by {strategy}")?;
        if *redundant > 0 {
            write!(f, ", {redundant} of them redundant")?;
        }
        write!(f, ", the longest of {} steps, in {:.1?}", self.longest.len(), self.time)?;
        if self.deadlocked > 0 && *verdict != Verdict::Panicked {
            write!(f, "\ndeadlocks in {} of {executions} executions", self.deadlocked)?;
        }
        if let Some(limit) = &self.limit {
            write!(f, "\n{limit}")?;
        }
        if let Some(drawn) = &self.drawn {
            let since = match drawn.executions() {
                all if all == *executions => "among them".to_owned(),
                some => format!("among the last {some}, in which it was known what is shared"),
            };
            write!(f, "\n{since}: {drawn}")?;
        }
        if let Some(counterexample) = &self.counterexample {
            write!(f, "\n{counterexample}")?;
        }
        Ok(())
    }
}
