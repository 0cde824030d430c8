//! What can be asked of an exploration.

use std::sync::Arc;
use std::time::Duration;

use super::execution::{Outcome, running};
use super::explain;
use super::exploration::Exploration;
use super::mutants::Mutant;
use super::report::Report;
use super::schedule::Schedule;
use super::search::First;

/// How interleavings are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// All of them, one for each class: optimal dynamic partial order reduction. The only one that can say
    /// [`Verdict::Verified`](super::Verdict::Verified).
    #[default]
    Exhaustive,
    /// Random walks: every enabled task is as likely as any other. Covers what chance covers.
    Random {
        /// The same seed gives the same executions.
        seed: u64,
    },
    /// Probabilistic concurrency testing: finds a bug that needs `depth` ordering constraints, among `n` tasks
    /// of `k` steps in all, with a probability of at least 1 / (n k^(depth - 1)) in each execution.
    Pct {
        /// How many ordering constraints a bug may need.
        depth: usize,
        /// The same seed gives the same executions.
        seed: u64,
    },
    /// Random executions with 0, 1, .. `bound` preemptions in turn.
    Preemptions {
        /// The most preemptions.
        bound: usize,
        /// The same seed gives the same executions.
        seed: u64,
    },
}

/// When a timed wait ends by time. The clock is virtual: no execution ever sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Timeouts {
    /// At any moment, before or after what it waits for: everything that a timeout of any length could do. A loop
    /// that tries again and again need not end, and then meets the step limit.
    #[default]
    Anytime,
    /// Only when nothing else can happen, the shortest first: what timeouts do that are longer than everything
    /// else takes.
    WhenStuck,
}

/// What the settings of an exploration are.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) strategy: Strategy,
    pub(super) workers: usize,
    pub(super) max_executions: Option<u64>,
    pub(super) max_time: Option<Duration>,
    pub(super) max_steps: usize,
    pub(super) stack_size: usize,
    pub(super) keep_going: bool,
    pub(super) deadlock_errors: bool,
    pub(super) panics: bool,
    pub(super) timeouts: Timeouts,
    pub(super) spurious: bool,
    pub(super) hunt: u64,
    pub(super) crown: usize,
    pub(super) first: First,
    pub(super) mutant: Mutant,
    pub(super) jitter: u64,
    pub(super) quiet: bool,
}

impl Settings {
    /// Whether something has gone wrong in an execution that is not over: a deadlock beside tasks that live.
    pub(super) fn failed(&self) -> fn(&Outcome) -> bool {
        match self.deadlock_errors {
            true => |outcome| outcome.deadlocks.iter().any(|(_, returned)| !returned),
            false => |outcome| !outcome.deadlocks.is_empty(),
        }
    }
}

/// Explores every interleaving of a program: see [`Explorer::builder`], and [`explore`] for the short form.
#[derive(Clone, Debug)]
pub struct Explorer {
    pub(super) settings: Settings,
}

impl Explorer {
    /// Begins an explorer with the usual settings: exhaustive, one worker, no limit but that of 10,000 steps in
    /// an execution.
    #[must_use]
    pub fn builder() -> Self {
        Self {
            settings: Settings {
                strategy: Strategy::default(),
                workers: 1,
                max_executions: None,
                max_time: None,
                max_steps: 10_000,
                stack_size: 256 * 1024,
                keep_going: false,
                deadlock_errors: false,
                panics: false,
                timeouts: Timeouts::default(),
                spurious: false,
                hunt: 60,
                crown: 4,
                first: First::default(),
                mutant: Mutant::None,
                jitter: 0,
                quiet: false,
            },
        }
    }

    /// How interleavings are chosen.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.settings.strategy = strategy;
        self
    }

    /// How many threads explore. Verdict and counts do not depend on it. The sampling strategies use one.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = workers.max(1);
        self
    }

    /// At most this many executions; the verdict is then [`Verdict::Truncated`](super::Verdict::Truncated).
    #[must_use]
    pub fn max_executions(mut self, executions: u64) -> Self {
        self.settings.max_executions = Some(executions);
        self
    }

    /// At most this long, and the execution that is going on; the verdict is then [`Verdict::Truncated`](super::Verdict::Truncated).
    #[must_use]
    pub fn max_time(mut self, time: Duration) -> Self {
        self.settings.max_time = Some(time);
        self
    }

    /// At most this many steps in an execution (10,000 if nothing is said, 30,000 at most): one that takes more
    /// is reported with the tasks that went on.
    #[must_use]
    pub fn max_steps(mut self, steps: usize) -> Self {
        self.settings.max_steps = steps.clamp(1, 30_000);
        self
    }

    /// The stack of each task, in bytes (256 KiB if nothing is said).
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.settings.stack_size = bytes;
        self
    }

    /// Goes on after a failure, to count all of them.
    #[must_use]
    pub fn keep_going(mut self, keep_going: bool) -> Self {
        self.settings.keep_going = keep_going;
        self
    }

    /// A [`Deadlock`](crate::Deadlock) that is returned to the program as an error is what the program expects,
    /// and no failure.
    #[must_use]
    pub fn allow_deadlock_errors(mut self, allow: bool) -> Self {
        self.settings.deadlock_errors = allow;
        self
    }

    /// A panic that the program catches, such as that of a job, is what the program expects, and no failure. One
    /// that ends the explored closure or a thread is a failure in any case.
    #[must_use]
    pub fn allow_caught_panics(mut self, allow: bool) -> Self {
        self.settings.panics = allow;
        self
    }

    /// When timed waits end by time; [`Timeouts::Anytime`] if nothing is said.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// Whether waits for a [`Condvar`](crate::sync::Condvar) may end for no reason, as those of the operating
    /// system may. Not if nothing is said.
    #[must_use]
    pub fn spurious_wakeups(mut self, spurious: bool) -> Self {
        self.settings.spurious = spurious;
        self
    }

    /// Runs `body` again and again, each time in another interleaving of its tasks, until a failure is found
    /// or there are no more.
    ///
    /// With `IMPASSE_REPLAY` set it plays that one schedule instead.
    ///
    /// # Panics
    ///
    /// Inside of an exploration; if `IMPASSE_REPLAY` is no schedule.
    ///
    /// # Blocking
    ///
    /// The calling thread, until the exploration ends. `body` runs on other threads.
    #[track_caller]
    pub fn explore(&self, body: impl Fn() + Send + Sync + 'static) -> Report {
        assert!(
            running(|_| ()).is_none(),
            "an explorer inside of an explorer: what is explored cannot explore"
        );
        let exploration = Exploration::new(self.settings.clone(), Arc::new(body));
        let replay = std::env::var(super::REPLAY).ok().map(|line| match line.parse::<Schedule>() {
            Ok(schedule) => schedule,
            Err(error) => panic!("{}: {error}", super::REPLAY),
        });
        match replay {
            Some(schedule) => explain::replay(&exploration, schedule),
            None => exploration.explore(),
        }
    }
}

/// Explores every interleaving of `body`.
///
/// ```
/// use impasse::sync::Mutex;
/// use std::sync::Arc;
///
/// impasse::explore(|| {
///     let balance = Arc::new(Mutex::new(100));
///     let other = balance.clone();
///     let spender = impasse::thread::spawn(move || *other.lock() -= 10);
///     *balance.lock() += 5;
///     spender.join().unwrap();
///     assert_eq!(*balance.lock(), 95);
/// });
/// ```
///
/// # Panics
///
/// With the explanation, if there is an interleaving in which `body` deadlocks, hangs or panics, and if not
/// every interleaving could be explored.
///
/// # Blocking
///
/// Until the exploration ends.
#[track_caller]
pub fn explore(body: impl Fn() + Send + Sync + 'static) {
    Explorer::builder().explore(body).assert_verified();
}
