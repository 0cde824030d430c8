//! Runs a model, counts its executions, and passes only a search that ended.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use crate::ghost;

/// How far a model is searched.
#[derive(Clone, Copy)]
pub(crate) enum Search {
    /// Every execution.
    Exhaustive,
    /// Every execution with at most this many preemptions, and why no more.
    Bounded(usize, &'static str),
}

/// What came of a search that found nothing wrong.
enum Verdict {
    Exhaustive,
    Bounded(usize),
    Truncated,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhaustive => f.write_str("exhaustive"),
            Self::Bounded(n) => write!(f, "bounded({n})"),
            Self::Truncated => f.write_str("TRUNCATED"),
        }
    }
}

/// A search that takes longer than this is given up and fails.
const PATIENCE: Duration = Duration::from_secs(600);

/// Explores `model` and prints the verdict and the number of executions.
///
/// # Panics
///
/// When the model panics in some execution, and when the search did not end.
pub(crate) fn check(property: &str, search: Search, model: impl Fn() + Send + Sync + 'static) {
    // loom's own variables are honoured (LOOM_MAX_PREEMPTIONS, LOOM_MAX_DURATION, ...); whatever they cut off
    // shows in the verdict.
    let mut builder = loom::model::Builder::new();
    builder.max_branches = builder.max_branches.max(20_000);
    let bound = match search {
        // A bug shows with fewer: most with none, each but one with two.
        Search::Bounded(bound, _) => Some(if is_child() { bound.min(2) } else { bound }),
        Search::Exhaustive => is_child().then_some(3),
    };
    if let Some(bound) = bound {
        builder.preemption_bound = Some(builder.preemption_bound.map_or(bound, |asked| asked.min(bound)));
    }
    builder.max_duration.get_or_insert(PATIENCE);
    if std::env::var_os("LOOM_CHECKPOINT_INTERVAL").is_none() {
        builder.checkpoint_interval = 500;
    }

    let executions = Arc::new(AtomicUsize::new(0));
    let counted = executions.clone();
    if is_child() {
        name_the_execution(executions.clone());
    }
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            impasse::checking::let_owners_look(false);
            ghost::reset();
            model();
            impasse::checking::join_detached();
            ghost::is_at_rest();
        });
    }));
    let (executions, seconds) = (executions.load(Ordering::Relaxed), start.elapsed().as_secs_f64());

    // loom looks at its limits when the number of the execution it is about to begin is a multiple of the
    // interval, and then returns as if it were through.
    let looked = (executions + 1).is_multiple_of(builder.checkpoint_interval);
    let out_of_time = builder.max_duration.is_some_and(|limit| start.elapsed() >= limit);
    let out_of_count = builder.max_permutations.is_some_and(|limit| executions + 1 >= limit);
    let verdict = match (outcome, builder.preemption_bound) {
        (Err(panic), _) => {
            say(&format!("{property}: failed in execution {executions}"));
            resume_unwind(panic)
        }
        _ if looked && (out_of_time || out_of_count) => Verdict::Truncated,
        (_, Some(bound)) => Verdict::Bounded(bound),
        (_, None) => Verdict::Exhaustive,
    };
    let mut line = format!("{property}: {verdict}, {executions} executions, {seconds:.1} s");
    if let Search::Bounded(_, why) = search {
        write!(line, " ({why})").expect("a string takes what is written");
    }
    say(&line);
    assert!(!matches!(verdict, Verdict::Truncated), "{property}: the search did not end: {line}");
}

/// Properties of models that make reports, each with its twin, which has to fail with that symptom.
macro_rules! properties {
    (
        in $room:ident, $symptom:literal;
        $($(#[$about:meta])* $name:ident, $twin:ident by $bug:literal: $search:expr => $model:expr;)*
    ) => {$(
        $(#[$about])*
        #[test]
        fn $name() {
            $crate::runner::check(stringify!($name), $search, || {
                $crate::runner::reports::reset();
                $model();
            });
        }

        #[test]
        fn $twin() {
            let test = concat!(stringify!($room), "::", stringify!($name));
            $crate::runner::twin($bug, test, $symptom);
        }
    )*};
}
pub(crate) use properties;

/// Asserts that a test fails with a bug seeded into the crate, and that it says `symptom`.
pub(crate) fn twin(bug: &str, test: &str, symptom: &str) {
    let execution = fails(Command::new(this()).env("IMPASSE_SEEDED_BUG", bug), test, symptom);
    say(&format!("{test} with `{bug}`: caught{execution}"));
}

/// Asserts that the model of a test, which runs it only in a child, hangs.
pub(crate) fn hangs(test: &str) {
    let execution = fails(&mut Command::new(this()), test, "deadlock;");
    say(&format!("{test}: hangs{execution}, as it should"));
}

/// Whether this process is the child of a test.
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

const CHILD: &str = "IMPASSE_LOOM_CHILD";

fn this() -> std::path::PathBuf {
    std::env::current_exe().expect("a test knows its binary")
}

/// Runs one test in a child process (a deadlock that loom finds often ends in an abort), asserts that it fails
/// with `symptom`, and says in which execution.
fn fails(command: &mut Command, test: &str, symptom: &str) -> String {
    let child = command
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .envs([(CHILD, "1"), ("RUST_BACKTRACE", "0")])
        .output()
        .expect("a test can run its binary");
    let said = [&*child.stdout, &*child.stderr].map(String::from_utf8_lossy).concat();
    assert!(said.contains("running 1 test"), "there is no test `{test}`:\n{said}");
    assert!(!child.status.success(), "`{test}` passes, so it has no teeth:\n{said}");
    assert!(said.contains(symptom), "`{test}` fails, but without `{symptom}`:\n{said}");
    let execution = said.split("PANIC IN EXECUTION ").nth(1).and_then(|rest| rest.lines().next());
    execution.map_or_else(String::new, |execution| format!(" in execution {execution}"))
}

/// Says at the first panic which execution it is in. The process may not live to say it later.
fn name_the_execution(executions: Arc<AtomicUsize>) {
    let (first, hook) = (Once::new(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        first.call_once(|| say(&format!("PANIC IN EXECUTION {}", executions.load(Ordering::Relaxed))));
        hook(panic);
    }));
}

/// A line past the capture of the test harness: the numbers belong to the result.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("stdout is open");
}

/// How often a deadlock was announced in the execution that is going on.
pub(crate) mod reports {
    use std::cell::Cell;
    use std::sync::Once;

    std::thread_local! {
        // loom runs all threads of a model on one thread.
        static SEEN: Cell<usize> = const { Cell::new(0) };
    }

    /// Begins an execution.
    pub(crate) fn reset() {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            impasse::on_deadlock(|deadlock| {
                SEEN.set(SEEN.get() + 1);
                crate::ghost::judge(deadlock);
            });
        });
        SEEN.set(0);
    }

    pub(crate) fn count() -> usize {
        SEEN.get()
    }
}
