//! The model checker in the place of the machine.
//!
//! What is not part of a property stays invisible to loom (std's atomics for counters, std's locks around
//! tables of the harness): every visible operation multiplies the executions.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock, PoisonError};

use loom::sync::mpsc;

pub(crate) use loom::sync::atomic;
pub(crate) use loom::thread_local;

use super::token::{SLEEPS, Token};
use super::{Bug, Caught};

/// Whether the environment asks for this bug: `IMPASSE_SEEDED_BUG=no-fence`.
pub(crate) fn seeded(bug: Bug) -> bool {
    static SEEDED: OnceLock<Option<Bug>> = OnceLock::new();
    let seeded = SEEDED.get_or_init(|| {
        let name = std::env::var("IMPASSE_SEEDED_BUG").ok()?;
        let found = Bug::ALL.iter().find(|(known, _)| *known == name);
        Some(found.unwrap_or_else(|| panic!("IMPASSE_SEEDED_BUG={name}: no such bug")).1)
    });
    *seeded == Some(bug)
}

macro_rules! global {
    ($(#[$meta:meta])* static $name:ident: $type:ty = $init:expr;) => {
        loom::lazy_static! { $(#[$meta])* static ref $name: $type = $init; }
    };
}
pub(crate) use global;

/// loom's mutex without poisoning.
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lock around something that is no part of a property.
#[derive(Debug, Default)]
pub(crate) struct Unseen<T>(std::sync::Mutex<T>);

impl<T> Unseen<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel of tokens: one branch point a side. (`loom::thread::park` wakes threads that wait for a mutex,
/// `Notify` and a condition variable multiply the executions by 20 to 400.)
#[derive(Debug)]
pub(crate) struct Parker {
    sender: mpsc::Sender<()>,
    receiver: mpsc::Receiver<()>,
}

// SAFETY: loom runs one thread at a time; std's receiver inside is never used by two of them at once.
unsafe impl Sync for Parker {}

impl Default for Parker {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver }
    }
}

impl Parker {
    pub(crate) fn park(&self) {
        self.receiver.recv().expect("the sender lives as long as this");
    }

    /// The time is up as soon as there is no token: loom has no clock.
    pub(crate) fn park_until(&self, _: std::time::Instant) -> bool {
        self.receiver.try_recv().is_err()
    }

    pub(crate) fn unpark(&self) {
        self.sender.send(()).expect("the receiver lives as long as this");
    }
}

/// Sleeps by the word that a native task sleeps by. The system's part is a lock and a condition here: whoever sleeps
/// looks at the word once more, and is not woken in between.
#[derive(Debug, Default)]
pub(crate) struct Bed {
    token: Token,
    system: loom::sync::Mutex<()>,
    wake: loom::sync::Condvar,
}

impl Bed {
    pub(crate) fn park(&self) {
        while !self.token.is_taken() {
            let system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
            if self.token.word().load(atomic::Ordering::Relaxed) == SLEEPS {
                drop(self.wake.wait(system));
            }
        }
    }

    /// The time is up at once.
    pub(crate) fn park_briefly(&self) -> bool {
        self.token.is_taken() || self.token.is_taken_at_last()
    }

    pub(crate) fn unpark(&self) {
        if self.token.leave() {
            let _system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
            self.wake.notify_one();
        }
    }
}

/// A model gains nothing by looking twice.
pub(crate) const CAN_SPIN: bool = false;

/// See `Bug::DetectorOff`.
pub(crate) const DETECTS: bool = true;

/// A line is no property.
pub(crate) const KEEPS_LINES: bool = false;

/// There is nothing to gain in a model.
pub(crate) fn fetch<V: ?Sized>(_: &V) {}

/// Whether owners look before they park, in this model: they open their hatch and shut it again. Elsewhere it would
/// multiply the executions.
pub(crate) fn owners_look() -> bool {
    OWNERS_LOOK.get()
}

/// Has the owners of the models on this thread look, or not.
pub(crate) fn let_owners_look(look: bool) {
    OWNERS_LOOK.set(look);
}

std::thread_local! {
    static OWNERS_LOOK: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

pub(crate) fn processor() -> Option<u32> {
    None
}

#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        self.0.with(read)
    }

    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        self.0.with_mut(write)
    }
}

/// The records of one execution. No number is used twice in it.
///
/// They are made beforehand, by the thread that first asks, since whoever finds a number may look at its record
/// without having heard of its maker: natively the chunk is there before any of its numbers is.
pub(crate) struct Table<T: 'static> {
    records: [Record<T>; RECORDS],
    used: AtomicU32,
}

pub(crate) type Record<T> = Arc<T>;

pub(crate) struct RecordCell<T>(RefCell<Option<Record<T>>>);

impl<T> RecordCell<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(None))
    }

    pub(crate) fn set(&self, record: Option<&Record<T>>) {
        self.0.replace(record.cloned());
    }

    pub(crate) fn get(&self) -> Option<Record<T>> {
        self.0.borrow().clone()
    }
}

/// Five threads, and tasks that are made for runs before they have one.
const RECORDS: usize = 6;

impl<T: Default> Table<T> {
    pub(crate) fn new() -> Self {
        Self { records: std::array::from_fn(|_| Arc::default()), used: AtomicU32::new(0) }
    }

    pub(crate) fn take(&self) -> u32 {
        let index = self.used.fetch_add(1, atomic::Ordering::Relaxed);
        assert!((index as usize) < RECORDS, "a model has more than {RECORDS} tasks");
        index
    }

    pub(crate) fn give_back(&self, _: u32) {}

    pub(crate) fn at(&self, index: u32) -> Record<T> {
        self.records[index as usize].clone()
    }

    pub(crate) fn used(&self) -> u32 {
        self.used.load(atomic::Ordering::Relaxed)
    }
}

/// Forgotten: when loom ends a thread, the statics of its execution may be gone.
#[allow(dead_code, reason = "the native one runs it")]
pub(crate) struct AtThreadExit(pub(crate) fn(u64), pub(crate) u64);

/// The place of a panic is of no use in a model.
/// A value that can stand in a static: under loom it is made when it is first looked at.
pub(crate) struct Late<T> {
    value: std::sync::OnceLock<T>,
    make: Option<fn() -> T>,
}

impl<T> Late<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: value.into(), make: None }
    }

    pub(crate) const fn made_by(make: fn() -> T) -> Self {
        Self { value: std::sync::OnceLock::new(), make: Some(make) }
    }
}

impl<T> std::ops::Deref for Late<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.get_or_init(|| self.make.expect("it has a value or a maker")())
    }
}

macro_rules! late {
    ($value:expr) => {
        $crate::platform::Late::made_by(|| $value)
    };
}
pub(crate) use late;

macro_rules! thread_words {
    ($($(#[$about:meta])* static $name:ident: $kind:ty = $value:expr;)*) => {
        loom::thread_local! {
            $($(#[$about])* static $name: $kind = $value;)*
        }
    };
}
pub(crate) use thread_words;

macro_rules! const_fn {
    ($(#[$about:meta])* $seen:vis fn $name:ident($($argument:ident: $kind:ty),*) -> $made:ty $body:block) => {
        $(#[$about])*
        $seen fn $name($($argument: $kind),*) -> $made $body
    };
}
pub(crate) use const_fn;

pub(crate) fn in_a_moment(_: impl FnMut(u32) -> Option<bool>) -> bool {
    false
}

pub(crate) const fn relax(_: u32) {}

pub(crate) fn yield_now() {
    loom::thread::yield_now();
}

pub(crate) fn catch<R>(_: bool, body: impl FnOnce() -> R) -> Result<R, Caught> {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
    result.map_err(|payload| Caught { payload, at: None, backtrace: None })
}

pub(crate) struct JoinHandle(Option<loom::thread::JoinHandle<()>>);

impl JoinHandle {
    pub(crate) fn join(mut self) -> std::thread::Result<()> {
        self.0.take().map_or(Ok(()), loom::thread::JoinHandle::join)
    }
}

impl Drop for JoinHandle {
    fn drop(&mut self) {
        DETACHED.lock().unwrap_or_else(PoisonError::into_inner).extend(self.0.take());
    }
}

pub(crate) fn spawn(
    _: Option<String>,
    _: Option<usize>,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle> {
    Ok(JoinHandle(Some(loom::thread::spawn(body))))
}

/// There is nothing to gain by using a thread again.
pub(crate) fn spawn_again(work: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
    drop(spawn(None, None, work)?);
    Ok(())
}

loom::lazy_static! {
    static ref DETACHED: std::sync::Mutex<Vec<loom::thread::JoinHandle<()>>> = std::sync::Mutex::default();
}

/// Waits for the threads that nobody waits for. An execution must not end before: its statics end with it.
///
/// # Panics
///
/// If one of them panicked.
pub(crate) fn join_detached() {
    loop {
        let next = DETACHED.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(thread) = next else { return };
        thread.join().expect("a detached thread panicked");
    }
}
