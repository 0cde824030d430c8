//! From the builder to the report: hunt, prove, explain.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::crown::Crown;
use super::execution::{Execution, Guide, Outcome, running};
use super::explain;
use super::mutants::{self, Mutant};
use super::names::Names;
use super::report::{Failure, Report, Verdict};
use super::sampling::{Pick, Sampler};
use super::schedule::Schedule;
use super::search::{First, Search};
use super::supervise::{self, Progress};

/// How interleavings are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Strategy {
    /// All of them, one for each class: optimal dynamic partial order reduction. The only one that can say
    /// [`Verdict::Verified`].
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
            true => |outcome| outcome.deadlocks.iter().any(|(_, returned, _)| !returned),
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

    /// At most this many executions; the verdict is then [`Verdict::Truncated`].
    #[must_use]
    pub fn max_executions(mut self, executions: u64) -> Self {
        self.settings.max_executions = Some(executions);
        self
    }

    /// At most this long, and the execution that is going on; the verdict is then [`Verdict::Truncated`].
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
///     let spender = impasse::thread::spawn("spender", move || *other.lock().unwrap() -= 10).unwrap();
///     *balance.lock().unwrap() += 5;
///     spender.join().unwrap();
///     assert_eq!(*balance.lock().unwrap(), 95);
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

/// An execution with which something is wrong, as it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) failure: Failure,
    pub(super) steps: Vec<u8>,
    pub(super) by: String,
}

/// What workers have counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) executions: u64,
    pub(super) redundant: u64,
    pub(super) deadlocked: u64,
    pub(super) forgotten: u64,
    /// An owner served a job because somebody needed it.
    pub(super) needed: bool,
    /// A deadlock was returned as an error.
    pub(super) returned: bool,
    pub(super) longest: Vec<u8>,
    pub(super) found: Option<Found>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.executions += other.executions;
        self.redundant += other.redundant;
        self.deadlocked += other.deadlocked;
        self.forgotten += other.forgotten;
        self.needed |= other.needed;
        self.returned |= other.returned;
        if other.longest.len() > self.longest.len() {
            self.longest = other.longest;
        }
        // The shorter one explains better.
        let shorter =
            |found: &Found| self.found.as_ref().is_none_or(|mine| found.steps.len() < mine.steps.len());
        if let Some(found) = other.found.filter(shorter) {
            self.found = Some(found);
        }
    }
}

/// What is done with each execution, for tests that compare all of them.
pub(super) type Collect = dyn Fn(&Search, &Outcome) + Send + Sync;

/// One exploration, as all its threads see it.
pub(super) struct Exploration {
    pub(super) settings: Settings,
    pub(super) body: Arc<dyn Fn() + Send + Sync>,
    pub(super) names: Arc<Names>,
    pub(super) collect: Option<Box<Collect>>,
    pub(super) begun: Instant,
    pub(super) stop: AtomicBool,
    pub(super) executions: AtomicU64,
}

impl Exploration {
    pub(super) fn new(settings: Settings, body: Arc<dyn Fn() + Send + Sync>) -> Arc<Self> {
        Arc::new(Self::bare(settings, body))
    }

    pub(super) fn bare(settings: Settings, body: Arc<dyn Fn() + Send + Sync>) -> Self {
        Self {
            settings,
            body,
            names: Arc::default(),
            collect: None,
            begun: Instant::now(),
            stop: AtomicBool::new(false),
            executions: AtomicU64::new(0),
        }
    }

    /// Plays one execution.
    pub(super) fn play(&self, execution: &Execution, guide: &mut impl Guide) -> Outcome {
        let body = self.body.clone();
        execution.run(guide, move || body())
    }

    pub(super) fn explore(self: &Arc<Self>) -> Report {
        let limits = &self.settings;
        let (tally, strategy) = match limits.strategy {
            Strategy::Exhaustive => {
                let hunted = if limits.hunt > 0 && !limits.keep_going { self.hunt() } else { None };
                match hunted {
                    Some(tally) => (tally, "the hunt that goes before an exhaustive search".to_owned()),
                    None => (self.prove(), "exhaustive search".to_owned()),
                }
            }
            Strategy::Random { seed } => {
                (self.sample(seed, &[Pick::Random]), format!("random walks, seed {seed}"))
            }
            Strategy::Pct { depth, seed } => {
                let name = format!("probabilistic concurrency testing of depth {depth}, seed {seed}");
                (self.sample(seed, &[Pick::Priorities(depth.max(1))]), name)
            }
            Strategy::Preemptions { bound, seed } => {
                let picks: Vec<_> = (0..=bound).map(Pick::Preemptions).collect();
                (self.sample(seed, &picks), format!("0 to {bound} preemptions in turn, seed {seed}"))
            }
        };
        self.report(tally, strategy)
    }

    fn report(self: &Arc<Self>, mut tally: Tally, strategy: String) -> Report {
        let found = tally.found.take();
        let limit = self.limit_met(&tally, found.is_some());
        let counterexample = found.map(|found| explain::explain(self, found));
        let verdict = match &counterexample {
            Some(counterexample) => counterexample.failure.verdict(),
            None if limit.is_some() => Verdict::Truncated,
            None => Verdict::Verified,
        };
        let caveat = tally.returned && verdict == Verdict::Verified;
        let longest = Schedule { objects: self.names.known(), steps: tally.longest };
        Report {
            verdict,
            strategy,
            executions: tally.executions,
            redundant: tally.redundant,
            deadlocked: tally.deadlocked,
            forgotten: tally.forgotten,
            longest,
            limit: limit.or_else(|| caveat.then(|| CAVEAT.to_owned())),
            counterexample,
            time: self.begun.elapsed(),
        }
    }

    /// Which limit kept the search from its end.
    fn limit_met(&self, tally: &Tally, found: bool) -> Option<String> {
        // A found failure says enough, unless all were to be found.
        let limits = &self.settings;
        if limits.strategy != Strategy::Exhaustive && !found {
            let n = tally.executions;
            return Some(format!("{n} executions were tried; nothing is said of the others"));
        }
        if tally.forgotten > MOST_FORGOTTEN {
            return Some(format!("{} tasks could not be ended", tally.forgotten));
        }
        if !self.stop.load(Ordering::Relaxed) && tally.needed && !found {
            let why = "an owner served a job only because somebody needed it, and not every order of such news \
                       and of other jobs is explored";
            return Some(why.into());
        }
        if !self.stop.load(Ordering::Relaxed) || (found && !limits.keep_going) {
            return None;
        }
        match (limits.max_executions, limits.max_time) {
            (Some(most), _) if tally.executions >= most => {
                Some(format!("the limit of {most} executions was met"))
            }
            (_, Some(most)) => Some(format!("the limit of {most:?} was met")),
            _ => Some("the search was stopped".into()),
        }
    }

    /// A few executions that find what is easily found with few switches. Claims nothing.
    fn hunt(self: &Arc<Self>) -> Option<Tally> {
        let picks = [
            Pick::Preemptions(0),
            Pick::Priorities(2),
            Pick::Preemptions(1),
            Pick::Priorities(3),
            Pick::Preemptions(2),
            Pick::Random,
        ];
        let most = self.settings.max_executions.unwrap_or(u64::MAX).min(self.settings.hunt);
        let tally = self.run_samples(1, &picks, most);
        self.executions.store(0, Ordering::Relaxed);
        tally.found.is_some().then_some(tally)
    }

    fn sample(self: &Arc<Self>, seed: u64, picks: &[Pick]) -> Tally {
        self.run_samples(seed, picks, self.settings.max_executions.unwrap_or(DEFAULT_SAMPLES))
    }

    fn run_samples(self: &Arc<Self>, seed: u64, picks: &[Pick], most: u64) -> Tally {
        let (this, picks) = (self.clone(), picks.to_vec());
        let hunts = self.settings.strategy == Strategy::Exhaustive;
        let results = supervise::threads(self, 1, Progress::default(), move |_, execution| {
            let mut tally = Tally::default();
            let mut sampler = Sampler::new(picks[0], seed, this.settings.max_steps);
            for pick in picks.iter().cycle() {
                if tally.executions >= most || this.is_over(&tally) {
                    break;
                }
                execution.refresh();
                sampler.begin(*pick);
                let outcome = this.play(&execution, &mut sampler);
                tally.executions += 1;
                tally.forgotten += outcome.forgotten;
                if sampler.taken.len() > tally.longest.len() {
                    tally.longest.clone_from(&sampler.taken);
                }
                this.executions.fetch_add(1, Ordering::Relaxed);
                tally.deadlocked += u64::from(is_deadlocked(&outcome));
                let tasks = || sampler.taken.iter().filter_map(|ordinal| execution.by_ordinal(*ordinal));
                let failure = this.failure(&outcome, sampler.too_long, || tasks().collect());
                // One that does not end says nothing of the next; the exhaustive search reports it.
                let failure = failure.filter(|failure| !hunts || !matches!(failure, Failure::Endless(..)));
                this.found(&mut tally, failure, || pick.to_string(), || sampler.taken.clone());
            }
            tally
        });
        self.together(results)
    }

    fn together(&self, results: Result<Vec<Tally>, Failure>) -> Tally {
        let mut all = Tally::default();
        match results {
            Ok(tallies) => tallies.into_iter().for_each(|tally| all.add(tally)),
            Err(failure) => {
                all.executions = self.executions.load(Ordering::Relaxed);
                all.found = Some(Found { failure, steps: Vec::new(), by: "the watchdog".into() });
            }
        }
        all
    }

    /// Every class, once.
    pub(super) fn prove(self: &Arc<Self>) -> Tally {
        loop {
            self.names.begin_anew();
            self.executions.store(0, Ordering::Relaxed);
            self.stop.store(false, Ordering::Relaxed);
            let crown = Arc::new(Crown::new(self.settings.crown));
            let (this, shared) = (self.clone(), crown.clone());
            let results = supervise::threads(
                self,
                self.settings.workers,
                Progress::of(crown),
                move |worker, execution| {
                    let stop = StopOnPanic(&shared);
                    mutants::seed(this.settings.mutant);
                    let tally = this.work(&shared, &execution, worker);
                    std::mem::forget(stop);
                    tally
                },
            );
            let tally = self.together(results);
            if !self.names.changed() || tally.found.is_some() && !self.settings.keep_going {
                return tally;
            }
        }
    }

    /// One worker, until there is no work.
    fn work(&self, crown: &Crown, execution: &Execution, worker: usize) -> Tally {
        let mut tally = Tally::default();
        let mut search = Search::new(self.settings.first, self.settings.max_steps);
        let mut jitter = Jitter::new(self.settings.jitter, worker);
        while let Some(mut item) = crown.claim(&mut search) {
            loop {
                search.restart();
                let outcome = self.play(execution, &mut search);
                self.count(&mut tally, execution, &search, &outcome);
                if self.is_over(&tally) || self.names.changed() {
                    crown.stop();
                    return tally;
                }
                jitter.pause();
                crown.reverse_races(&mut item, &mut search);
                if !search.back(item.floor()) {
                    break;
                }
            }
            crown.finish(&item);
        }
        tally
    }

    fn count(&self, tally: &mut Tally, execution: &Execution, search: &Search, outcome: &Outcome) {
        tally.executions += 1;
        self.executions.fetch_add(1, Ordering::Relaxed);
        tally.forgotten += outcome.forgotten;
        tally.needed |= outcome.needed;
        tally.returned |= outcome.deadlocks.iter().any(|(_, returned, _)| *returned);
        if search.asleep {
            tally.redundant += 1;
            return;
        }
        let failure = match &search.parted {
            // Somebody else found out meanwhile that something is shared: no wonder.
            Some(_) if self.names.changed() => return,
            Some(parted) => Some(Failure::Parted(explain::parted(outcome, parted))),
            None => {
                let tasks = || search.nodes[..search.len()].iter().map(|node| node.event.step.task);
                self.failure(outcome, search.too_long, || tasks().collect())
            }
        };
        if let Some(collect) = &self.collect {
            collect(search, outcome);
        }
        tally.deadlocked += u64::from(is_deadlocked(outcome));
        if search.len() > tally.longest.len() {
            tally.longest = ordinals(search, execution);
        }
        self.found(tally, failure, || "exhaustive search".into(), || ordinals(search, execution));
    }

    fn found(
        &self,
        tally: &mut Tally,
        failure: Option<Failure>,
        by: impl FnOnce() -> String,
        steps: impl FnOnce() -> Vec<u8>,
    ) {
        if let (Some(failure), None) = (failure, &tally.found) {
            tally.found = Some(Found { failure, steps: steps(), by: by() });
            if !self.settings.keep_going {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Whether the search ends here: something was found, or a limit was met.
    fn is_over(&self, tally: &Tally) -> bool {
        let limits = &self.settings;
        let most = limits.max_executions.is_some_and(|most| self.executions.load(Ordering::Relaxed) >= most);
        let late = limits.max_time.is_some_and(|most| self.begun.elapsed() >= most);
        if most || late || tally.forgotten > MOST_FORGOTTEN {
            self.stop.store(true, Ordering::Relaxed);
        }
        self.stop.load(Ordering::Relaxed)
    }

    /// What is wrong with an execution, if anything.
    pub(super) fn failure(
        &self,
        outcome: &Outcome,
        too_long: bool,
        tasks: impl FnOnce() -> Vec<u8>,
    ) -> Option<Failure> {
        let deadlock =
            outcome.deadlocks.iter().find(|(_, returned, _)| !(*returned && self.settings.deadlock_errors));
        if let Some((deadlock, ..)) = deadlock {
            return Some(Failure::Deadlock(deadlock.clone()));
        }
        let panic = outcome.panics.iter().find(|panic| panic.ended || !self.settings.panics);
        if let Some(panic) = panic {
            return Some(Failure::Panic(
                panic.task.clone(),
                panic.panic.message.clone(),
                panic.panic.place.clone(),
            ));
        }
        if outcome.stuck && outcome.deadlocks.is_empty() {
            return Some(Failure::Hang(outcome.left.clone()));
        }
        too_long.then(|| explain::endless(outcome, self.settings.max_steps, &tasks()))
    }
}

/// More tasks than this that cannot be ended end the search.
const MOST_FORGOTTEN: u64 = 1000;
/// What has to be said of a search in which deadlocks were returned as errors.
const CAVEAT: &str = "deadlocks were returned as errors, and locks handed over in the order of arrival: what a \
                      program does after such an error and only when a waiting task is overtaken is not among \
                      the executions";
/// How many executions a sampling strategy tries if nothing is said.
const DEFAULT_SAMPLES: u64 = 1000;

fn is_deadlocked(outcome: &Outcome) -> bool {
    outcome.stuck || !outcome.deadlocks.is_empty()
}

/// The steps of the last execution, by when their tasks were started in it.
fn ordinals(search: &Search, execution: &Execution) -> Vec<u8> {
    let steps = search.nodes[..search.len()].iter().map(|node| node.event.step.task);
    steps.map(|task| execution.ordinal(task)).collect()
}

/// A worker that panics releases those who wait for its work.
struct StopOnPanic<'a>(&'a Crown);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Pauses of random length between executions, so that tests see workers meet in many ways.
struct Jitter(u64);

impl Jitter {
    fn new(seed: u64, worker: usize) -> Self {
        Self(if seed == 0 {
            0
        } else {
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(worker as u64) | 1
        })
    }

    fn pause(&mut self) {
        if self.0 == 0 {
            return;
        }
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        match self.0 % 3 {
            0 => std::thread::sleep(Duration::from_micros(self.0 >> 20 & 63)),
            1 => std::thread::yield_now(),
            _ => {}
        }
    }
}
