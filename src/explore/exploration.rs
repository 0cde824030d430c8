//! From the settings to the report: hunt, prove, explain.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::classes::Drawn;
use super::crown::Crown;
use super::execution::{Execution, Guide, Outcome};
use super::explain;
use super::explorer::{Settings, Strategy};
use super::mutants;
use super::names::Names;
use super::report::{Failure, Report, Verdict};
use super::sampling::{Pick, Sampler};
use super::schedule::{Played, Schedule};
use super::search::Search;
use super::supervise::{self, Progress};

/// An execution with which something is wrong, as it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) failure: Failure,
    pub(super) played: Played,
    pub(super) by: String,
}

/// What workers have counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) executions: u64,
    pub(super) redundant: u64,
    pub(super) deadlocked: u64,
    pub(super) forgotten: u64,
    /// An owner served a job because somebody needed it, or ends were let go that could have ended a deadlock.
    pub(super) needed: bool,
    /// A deadlock was returned as an error.
    pub(super) returned: bool,
    pub(super) longest: Played,
    /// The classes among executions that a sampling strategy drew.
    pub(super) drawn: Option<Drawn>,
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
        // One worker draws.
        self.drawn = self.drawn.take().or(other.drawn);
        if other.longest.steps.len() > self.longest.steps.len() {
            self.longest = other.longest;
        }
        // The shorter one explains better.
        let shorter = |found: &Found| {
            self.found.as_ref().is_none_or(|mine| found.played.steps.len() < mine.played.steps.len())
        };
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
        let longest = Schedule::of(tally.longest, &self.names.known());
        Report {
            verdict,
            strategy,
            executions: tally.executions,
            redundant: tally.redundant,
            deadlocked: tally.deadlocked,
            forgotten: tally.forgotten,
            drawn: tally.drawn,
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
            let why = "an owner served a job only because somebody needed it, or a deadlock was completed because \
                       somebody let go of what could have ended it, and not every order of such news is explored";
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
        let drawn = Arc::<Mutex<Drawn>>::default();
        let progress = match hunts {
            true => Progress::default(),
            false => {
                let drawn = drawn.clone();
                Progress::of(move || drawn.lock().unwrap_or_else(PoisonError::into_inner).to_string())
            }
        };
        let results = supervise::threads(self, 1, progress, move |_, execution| {
            let drawn = || drawn.lock().unwrap_or_else(PoisonError::into_inner);
            let mut tally = Tally::default();
            let mut sampler = Sampler::new(picks[0], seed, this.settings.max_steps);
            for pick in picks.iter().cycle() {
                if tally.executions >= most || this.is_over(&tally) {
                    break;
                }
                if execution.refresh() {
                    drawn().begin_anew();
                }
                sampler.begin(*pick);
                let outcome = execution.run(&mut sampler);
                tally.executions += 1;
                drawn().add(sampler.fingerprint.of_class());
                tally.forgotten += outcome.forgotten;
                let played = || Played { steps: sampler.taken.clone(), started: execution.started() };
                if sampler.taken.len() > tally.longest.steps.len() {
                    tally.longest = played();
                }
                this.executions.fetch_add(1, Ordering::Relaxed);
                tally.deadlocked += u64::from(is_deadlocked(&outcome));
                let tasks = || sampler.taken.iter().filter_map(|ordinal| execution.by_ordinal(*ordinal));
                let failure = this.failure(&outcome, sampler.too_long, || tasks().collect());
                // One that does not end says nothing of the next; the exhaustive search reports it.
                let failure = failure.filter(|failure| !hunts || !matches!(failure, Failure::Endless(..)));
                this.found(&mut tally, failure, || pick.to_string(), played);
            }
            tally.drawn = (!hunts).then(|| std::mem::take(&mut *drawn()));
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
                all.found = Some(Found { failure, played: Played::default(), by: "the watchdog".into() });
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
                Progress::of(move || {
                    format!("about {:.0} % (each known branch counted alike)", 100.0 * crown.share_done())
                }),
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
                let outcome = execution.run(&mut search);
                search.ends(execution, outcome.given_up);
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
        // One by one if they are limited; else now and then, so that workers do not fight for the count.
        let apart = if self.settings.max_executions.is_some() { 1 } else { 64 };
        if tally.executions.is_multiple_of(apart) {
            self.executions.fetch_add(apart, Ordering::Relaxed);
        }
        tally.forgotten += outcome.forgotten;
        tally.needed |= outcome.needed;
        tally.returned |= outcome.deadlocks.iter().any(|(_, returned)| *returned);
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
        if search.len() > tally.longest.steps.len() {
            tally.longest = self.played(search, execution);
        }
        self.found(tally, failure, || "exhaustive search".into(), || self.played(search, execution));
    }

    /// The last execution of a search. Where it took steps before everybody had come to rest, tasks may have been
    /// started in another order than when it is played again: so it is, to know that order.
    fn played(&self, search: &Search, execution: &Execution) -> Played {
        let tasks: Vec<_> = search.nodes[..search.len()].iter().map(|node| node.event.step.task).collect();
        if execution.is_hasty() {
            execution.run(&mut Again(&tasks));
        }
        Played {
            steps: tasks.iter().map(|task| execution.ordinal(*task)).collect(),
            started: execution.started(),
        }
    }

    fn found(
        &self,
        tally: &mut Tally,
        failure: Option<Failure>,
        by: impl FnOnce() -> String,
        played: impl FnOnce() -> Played,
    ) {
        if let (Some(failure), None) = (failure, &tally.found) {
            tally.found = Some(Found { failure, played: played(), by: by() });
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
            outcome.deadlocks.iter().find(|(_, returned)| !(*returned && self.settings.deadlock_errors));
        if let Some((deadlock, _)) = deadlock {
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

/// Takes the steps of these tasks, each when everybody has come to rest.
struct Again<'a>(&'a [u8]);

impl Guide for Again<'_> {
    fn choose(&mut self, execution: &Execution, enabled: u32) -> Option<u8> {
        self.0.get(execution.steps()).copied().filter(|task| enabled >> task & 1 == 1)
    }

    fn taken(&mut self, _: &Execution, _: u8) {}
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
