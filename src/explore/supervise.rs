//! The threads that explore, watched by the one that asked for it.
//!
//! A task that blocks in something the explorer cannot see (a lock or a sleep that is not this crate's) stops its
//! whole thread. The watchdog sees that the thread sleeps in the middle of a task, again and again at the same
//! step; it names the task and leaves the thread to itself.

use std::fs;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::execution::Execution;
use super::exploration::Exploration;
use super::explorer::Timeouts;
use super::report::Failure;
use crate::wait::TaskId;
use crate::wait::explored::name_of;

/// How often the watchdog looks.
const PERIOD: Duration = Duration::from_millis(50);
/// How many times in a row it must find a thread asleep in the same step: a second.
const LOOKS: u32 = 20;

/// What the watchdog sees of a worker.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    beats: AtomicU64,
    /// The task that runs, as a word; 0 while none does.
    task: AtomicU64,
    step: AtomicU64,
    thread: OnceLock<u64>,
}

impl Pulse {
    #[inline]
    pub(super) fn resumed(&self, task: TaskId, step: u32) {
        self.beats.store(self.beats.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.step.store(step.into(), Ordering::Relaxed);
        self.task.store(task.word(), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn rests(&self) {
        self.task.store(0, Ordering::Relaxed);
    }
}

/// Runs `work` on this many threads, each with tasks of its own, and waits for all.
///
/// # Errors
///
/// A task blocks out of sight. The threads are left to themselves.
///
/// # Panics
///
/// With a worker's panic.
pub(super) fn threads<R: Send + 'static>(
    exploration: &Arc<Exploration>,
    count: usize,
    mut progress: Progress,
    work: impl Fn(usize, Execution) -> R + Send + Sync + 'static,
) -> Result<Vec<R>, Failure> {
    let work = Arc::new(work);
    let (sender, results) = mpsc::channel();
    let mut watched = Vec::new();
    let mut joins = Vec::new();
    for worker in 0..count {
        let pulse = Arc::<Pulse>::default();
        let (work, this, sender, its) = (work.clone(), exploration.clone(), sender.clone(), pulse.clone());
        let body = move || {
            let _ = its.thread.set(thread_id());
            let (body, names) = (this.body.clone(), this.names.clone());
            let mut execution = Execution::new(body, names, this.settings.stack_size, its);
            execution.any_time = this.settings.timeouts == Timeouts::Anytime;
            execution.spurious = this.settings.spurious;
            let execution = match this.settings.keep_going {
                true => execution,
                false => execution.stop_at(this.settings.failed()),
            };
            // The receiver is gone if another worker blocks.
            let _ = sender.send(work(worker, execution));
        };
        let thread = std::thread::Builder::new().name(format!("impasse explorer {worker}")).spawn(body);
        joins.push(thread.unwrap_or_else(|error| panic!("no thread to explore on: {error}")));
        watched.push((pulse, 0, 0));
    }
    drop(sender);
    let mut done = Vec::new();
    loop {
        match results.recv_timeout(PERIOD) {
            Ok(result) => done.push(result),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                progress.show(exploration);
                if let Some(failure) = watched.iter_mut().find_map(asleep) {
                    progress.clear();
                    return Err(failure);
                }
            }
        }
    }
    progress.clear();
    for join in joins {
        if let Err(panic) = join.join() {
            std::panic::resume_unwind(panic);
        }
    }
    Ok(done)
}

/// Whether a worker sleeps in the middle of a task, again and again at the same beat.
fn asleep((pulse, last, looks): &mut (Arc<Pulse>, u64, u32)) -> Option<Failure> {
    let beats = pulse.beats.load(Ordering::Relaxed);
    let task = TaskId::from_word(pulse.task.load(Ordering::Relaxed))?;
    let state = sleeping_state(*pulse.thread.get()?)?;
    if beats != *last {
        (*last, *looks) = (beats, 0);
        return None;
    }
    *looks += 1;
    let step = pulse.step.load(Ordering::Relaxed);
    (*looks >= LOOKS).then(|| Failure::OutOfSight(name_of(task), step, state))
}

/// What the operating system says of a thread, if it sleeps.
fn sleeping_state(thread: u64) -> Option<String> {
    let read = |file: &str| fs::read_to_string(format!("/proc/self/task/{thread}/{file}"));
    let stat = read("stat").ok()?;
    let state = stat.rsplit(')').next()?.trim_start().chars().next()?;
    let place = read("wchan").ok().filter(|place| !matches!(place.as_str(), "" | "0"));
    let place = place.map_or(String::new(), |place| format!(" in {place}"));
    matches!(state, 'S' | 'D').then(|| format!("its thread sleeps{place}, state {state}"))
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn thread_id() -> u64 {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::gettid() as u64 }
}

/// Elsewhere nothing is known of a thread's state, so no task is ever called blocked.
#[cfg(not(target_os = "linux"))]
fn thread_id() -> u64 {
    0
}

/// A line on the terminal, once a search has taken a second.
#[derive(Default)]
pub(super) struct Progress {
    /// How far it is, in words.
    words: Option<Box<dyn Fn() -> String>>,
    shown: Option<Instant>,
}

impl Progress {
    pub(super) fn of(words: impl Fn() -> String + 'static) -> Self {
        Self { words: Some(Box::new(words)), shown: None }
    }

    fn show(&mut self, exploration: &Exploration) {
        let taken = exploration.begun.elapsed();
        let recent = self.shown.is_some_and(|shown| shown.elapsed() < Duration::from_millis(500));
        if taken < Duration::from_secs(1)
            || recent
            || exploration.settings.quiet
            || !std::io::stderr().is_terminal()
        {
            return;
        }
        self.shown = Some(Instant::now());
        let executions = exploration.executions.load(Ordering::Relaxed);
        let rate = executions as f64 / taken.as_secs_f64();
        let words = self.words.as_ref().map_or(String::new(), |words| format!(", {}", words()));
        let _ = write!(std::io::stderr(), "\r\x1b[Kexploring: {executions} executions, {rate:.0}/s{words}");
    }

    fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
