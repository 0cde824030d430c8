//! What is known of an exploration while it runs, and the child process that watches it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::child;
use crate::rows::Metrics;

/// How often the child says how far it has come.
const TICK: Duration = Duration::from_millis(250);

/// How an exploration ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The subject claims that there is no other order.
    Exhausted,
    /// A budget of executions was used up. Nothing is claimed.
    Spent,
    /// An execution had the bug.
    Found,
}

/// The side of the exploration: every execution says that it began, and whether it has the bug.
#[derive(Debug)]
pub struct Search {
    executions: Arc<AtomicU64>,
    ended: Sender<(Outcome, Instant)>,
}

impl Search {
    pub fn execution_begins(&self) {
        self.executions.fetch_add(1, Ordering::Relaxed);
    }

    /// For a subject that counts by itself.
    pub fn executions_were(&self, count: u64) {
        self.executions.store(count, Ordering::Relaxed);
    }

    /// Ends the exploration inside the execution that has the bug. A panic would be the usual way, but loom
    /// aborts where a destructor panics then, and shuttle prints a schedule; so nothing is unwound or dropped:
    /// the process ends while this thread sleeps.
    pub fn found(&self) -> ! {
        self.end(Outcome::Found);
        loop {
            thread::park();
        }
    }

    /// For tests, which look for themselves.
    #[cfg(test)]
    pub fn unwatched() -> Self {
        Self { executions: Arc::default(), ended: mpsc::channel().0 }
    }

    #[cfg(test)]
    pub fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed)
    }

    fn end(&self, outcome: Outcome) {
        // The watcher hears the first end and leaves.
        let _ = self.ended.send((outcome, Instant::now()));
    }
}

/// Lets `explore` run and reports its metrics to the parent process, now and then and at the end. `sought` is
/// the outcome with which the measurement has finished.
///
/// # Errors
///
/// The subject panicked, or the parent is gone.
pub fn watch(
    sought: Outcome,
    explore: impl FnOnce(Arc<Search>) -> Outcome + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let executions = Arc::new(AtomicU64::new(0));
    let (ended, end) = mpsc::channel();
    let search = Arc::new(Search { executions: executions.clone(), ended });
    let began = Instant::now();
    let subject = thread::spawn(move || {
        let outcome = explore(search.clone());
        search.end(outcome);
    });
    loop {
        // Asked before, not after: a subject that ends while we wait has sent its outcome by then.
        let gone = subject.is_finished();
        let (outcome, at) = match end.recv_timeout(TICK) {
            Ok((outcome, at)) => (Some(outcome), at),
            Err(RecvTimeoutError::Timeout) if !gone => (None, Instant::now()),
            Err(_) => return Err("the subject panicked".into()),
        };
        let finished = outcome == Some(sought);
        child::report(&metrics(executions.load(Ordering::Relaxed), at - began, finished))?;
        if outcome.is_some() {
            return Ok(());
        }
    }
}

fn metrics(executions: u64, elapsed: Duration, finished: bool) -> Metrics {
    let mut metrics = Metrics::new();
    let mut put = |name: &str, value| metrics.insert(name.to_owned(), value);
    let seconds = elapsed.as_secs_f64();
    put("finished", f64::from(u8::from(finished)));
    put("seconds", seconds);
    if executions > 0 {
        put("executions", executions as f64);
        put("executions_per_second", executions as f64 / seconds);
    }
    if let Some(bytes) = child::peak_bytes() {
        put("peak_bytes", bytes);
    }
    metrics
}
