//! Random numbers, an executor, the watchdog.
//!
//! What is shared here is relaxed: a harness that orders the threads would hide the races it is there to find.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use impasse::WaitOnOwner;

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// One of many that differ by their `stream`.
    pub fn new(seed: u64, stream: usize) -> Self {
        Self(seed ^ (stream as u64 + 1).wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    pub fn of<'a, V>(&mut self, values: &'a [V]) -> &'a V {
        &values[self.below(values.len())]
    }

    pub fn policy(&mut self) -> WaitOnOwner {
        *self.of(&WaitOnOwner::ALL)
    }

    /// No time, next to none, or enough for everything.
    pub fn timeout(&mut self) -> Duration {
        Duration::from_micros(*self.of(&[0, 20, 200, 60_000_000]))
    }

    /// Lets others go first, sometimes.
    pub fn pause(&mut self) {
        match self.below(12) {
            0 => thread::yield_now(),
            1 => thread::sleep(Duration::from_micros(self.below(50) as u64)),
            _ => {}
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls a future to its end.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

/// Polls it once.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A panic that is meant; any other ends the program.
pub fn break_down() -> ! {
    std::panic::resume_unwind(Box::new("meant"))
}

static STEPS: AtomicU64 = AtomicU64::new(0);
static PART: AtomicUsize = AtomicUsize::new(0);
static ROUND: AtomicU64 = AtomicU64::new(0);
const PARTS: [&str; 5] = ["jobs", "room", "runs", "locks", "tasks"];

/// Something has ended that could have gone on for ever.
pub fn step() {
    STEPS.fetch_add(1, Ordering::Relaxed);
}

pub fn steps() -> u64 {
    STEPS.load(Ordering::Relaxed)
}

pub fn begin(part: &str, round: u64) {
    PART.store(PARTS.iter().position(|known| *known == part).unwrap_or_default(), Ordering::Relaxed);
    ROUND.store(round, Ordering::Relaxed);
}

pub fn from_env(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// Whether `cargo test` wants this test: its name may be filtered, and nextest asks for a list of them first.
pub fn is_asked_for() -> bool {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let says = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if says("--list") {
        if !says("--ignored") {
            println!("stress: test");
        }
        return false;
    }
    let mut names = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    names.peek().is_none() || names.any(|name| "stress".contains(&**name))
}

/// Ends the program when it makes no progress for a minute, and when anything panics that was not meant to.
pub fn watch(seed: u64) {
    let again = move || {
        let (part, round) = (PARTS[PART.load(Ordering::Relaxed)], ROUND.load(Ordering::Relaxed));
        eprintln!("in round {round} of `{part}`; again: IMPASSE_STRESS_SEED={seed} cargo test --test stress");
    };
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        shown(info);
        again();
        std::process::exit(101);
    }));
    thread::Builder::new()
        .name("watchdog".into())
        .spawn(move || {
            let (mut before, mut seconds) = (0, 0);
            loop {
                thread::sleep(Duration::from_secs(1));
                let now = steps();
                seconds = if now == before { seconds + 1 } else { 0 };
                before = now;
                if seconds == 60 {
                    eprintln!("no progress for a minute");
                    again();
                    eprintln!("{:#?}", impasse::waiting_tasks());
                    std::process::abort();
                }
            }
        })
        .expect("a thread for the watchdog");
}
