//! One scene, played on real threads or explored.

use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use impasse::explore::{Explorer, Report, Verdict};
use impasse::sync::PromiseError;
use impasse::sync::channel::{RecvError, SendError};
use impasse::{CallError, Deadlock, PostError, RunError, ShutdownError, WaitError, on_deadlock, thread};

use crate::common::within_a_minute;

/// How often each scene is played.
pub(crate) const TIMES: usize = 300;

/// Where tasks wait until each holds what it begins with. In an exploration nobody waits: there every order comes.
#[derive(Clone)]
pub(crate) struct Meeting(Option<Arc<Barrier>>);

/// When the last meeting was over, and how long the reports came after.
static MET: Mutex<Option<Instant>> = Mutex::new(None);
static LATENCIES: Mutex<Vec<Duration>> = Mutex::new(Vec::new());

impl Meeting {
    pub(crate) fn wait(&self) {
        if let Some(barrier) = &self.0 {
            barrier.wait();
            *MET.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }
}

/// How a scene is played: whether on real threads.
#[derive(Clone, Copy)]
pub(crate) struct Stage {
    real: bool,
}

impl Stage {
    /// Whether on real threads.
    pub(crate) fn is_real(self) -> bool {
        self.real
    }

    /// A place for so many tasks to meet.
    pub(crate) fn meeting(self, tasks: usize) -> Meeting {
        Meeting(self.real.then(|| Arc::new(Barrier::new(tasks))))
    }
}

/// What a wait that may be refused comes to.
pub(crate) type Ended = Result<(), Deadlock>;

/// A deadlock, or whatever the scene did not expect.
pub(crate) trait OrDeadlock {
    fn or_deadlock(self) -> Ended;
}

macro_rules! or_deadlock {
    ($($error:ty: $deadlock:pat => $found:expr),* $(,)?) => {$(
        impl<T> OrDeadlock for Result<T, $error> {
            fn or_deadlock(self) -> Ended {
                match self {
                    Ok(_) => Ok(()),
                    Err($deadlock) => Err($found),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    )*};
}

or_deadlock! {
    WaitError: WaitError::Deadlock(found) => found,
    PromiseError: PromiseError::Deadlock(found) => found,
    RecvError: RecvError::Deadlock(found) => found,
    SendError<u32>: SendError::Deadlock(_, found) => found,
    CallError: CallError::Deadlock(found) => found,
    PostError: PostError::Deadlock(found) => found,
    RunError: RunError::Deadlock(found) => found,
    ShutdownError: ShutdownError::Deadlock(found) => found,
}

/// Plays these parts at once, the last of them by the calling task. Who was refused?
pub(crate) fn play<const N: usize>(parts: [Box<dyn FnOnce() -> Ended + Send>; N]) -> Vec<Deadlock> {
    let mut parts: Vec<_> = parts.into();
    let mine = parts.pop().expect("a scene has a part");
    let others: Vec<_> = parts.into_iter().map(|part| thread::spawn(part)).collect();
    let mine = mine();
    let mut ended: Vec<_> = others.into_iter().map(|other| other.checked_join().expect("ends")).collect();
    ended.push(mine);
    ended.into_iter().filter_map(Result::err).collect()
}

/// Two workers of a pool of this size wait for work that is queued at that pool.
pub(crate) fn two_that_wait_for_their_pool(stage: Stage, workers: usize) -> Vec<Deadlock> {
    let pool = Arc::new(thread::Pool::new("workers", workers).unwrap());
    let met = stage.meeting(2);
    let outer: Vec<_> = (0..2)
        .map(|_| {
            let (inner, met) = (pool.clone(), met.clone());
            pool.spawn(move || {
                met.wait();
                inner.spawn(|| ()).wait().or_deadlock()
            })
        })
        .collect();
    outer.into_iter().filter_map(|work| work.wait().unwrap().err()).collect()
}

/// A part of [`play`].
pub(crate) fn part(body: impl FnOnce() -> Ended + Send + 'static) -> Box<dyn FnOnce() -> Ended + Send> {
    Box::new(body)
}

/// A scene, which returns the reports of those who were refused.
#[derive(Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) play: fn(Stage) -> Vec<Deadlock>,
}

impl Scene {
    /// Plays it on real threads; there is exactly one victim each time. Returns the median time to the report.
    pub(crate) fn is_detected(self) -> Duration {
        on_deadlock(|_| {
            let met = *MET.lock().unwrap_or_else(PoisonError::into_inner);
            let latency = met.map(|met| met.elapsed());
            LATENCIES.lock().unwrap_or_else(PoisonError::into_inner).extend(latency);
        });
        LATENCIES.lock().unwrap_or_else(PoisonError::into_inner).clear();
        quiet();
        for _ in 0..TIMES {
            let found = within_a_minute(move || (self.play)(Stage { real: true }));
            let [deadlock] = &found[..] else { panic!("{}: {found:?}", self.name) };
            assert_true(self.name, deadlock);
        }
        let mut latencies = std::mem::take(&mut *LATENCIES.lock().unwrap_or_else(PoisonError::into_inner));
        latencies.sort();
        latencies.get(latencies.len() / 2).copied().unwrap_or_default()
    }

    /// Every interleaving that is explored ends, and in some of them somebody is refused.
    pub(crate) fn is_found_by_the_explorer(self) -> Report {
        let report = self.explored();
        assert!(report.deadlocked() > 0, "{}: {report}", self.name);
        report
    }

    /// Nobody is refused, on real threads.
    pub(crate) fn is_silent(self, times: usize) {
        for _ in 0..times {
            let found = within_a_minute(move || (self.play)(Stage { real: true }));
            assert!(found.is_empty(), "{}: {found:?}", self.name);
        }
    }

    /// Nor in any interleaving.
    pub(crate) fn is_silent_in_the_explorer(self) -> Report {
        let report = self.explored();
        assert_eq!(report.deadlocked(), 0, "{}: {report}", self.name);
        report
    }

    fn explored(self) -> Report {
        let explorer = Explorer::builder().allow_deadlock_errors(true).allow_caught_panics(true);
        let report = explorer.explore(move || {
            for deadlock in (self.play)(Stage { real: false }) {
                assert_true(self.name, &deadlock);
            }
        });
        // Where it matters when a task lets an end go, not every order of that is explored, and the search says so.
        let is_known =
            report.limit().is_some_and(|limit| limit.contains("let go of what could have ended it"));
        assert!(report.verdict() == Verdict::Verified || is_known, "{}: {report}", self.name);
        report
    }
}

/// What waits panic with that have no error to return is expected here.
fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let outside = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<String>();
            if !text.is_some_and(|text| text.starts_with("deadlock: ")) {
                outside(info);
            }
        }));
    });
}

/// Each hop waits for tasks that wait too.
fn assert_true(name: &str, deadlock: &Deadlock) {
    let hops = deadlock.hops();
    for hop in hops {
        for provider in hop.held_by.split(" or ") {
            assert!(hops.iter().any(|other| other.task == provider), "{name}: {provider} of\n{deadlock}");
        }
    }
}
