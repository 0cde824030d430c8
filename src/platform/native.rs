//! The machine itself: parking_lot, std's atomics and threads.

#![allow(unsafe_code)]

mod parker;

use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Once, mpsc};
use std::time::Duration;

pub(crate) use std::sync::atomic;
pub(crate) use std::thread_local;

pub(crate) use parker::Parker;
pub(crate) use parking_lot::Mutex;
/// A lock around something that is no part of a property: models do not see it. (Not the standard library's, which
/// ThreadSanitizer does not see.)
pub(crate) use parking_lot::Mutex as Unseen;

use super::{Bug, Caught};

/// No bug is ever seeded into a native build.
#[inline(always)]
pub(crate) const fn seeded(_: Bug) -> bool {
    false
}

/// Declares a static of the whole program. Under loom it lives for one execution.
macro_rules! global {
    ($(#[$meta:meta])* static $name:ident: $type:ty = $init:expr;) => {
        $(#[$meta])*
        static $name: $type = $init;
    };
}
pub(crate) use global;

/// Whether waits are published and looked at. Not in a build that `impasse-bench` compares the others with.
pub(crate) const DETECTS: bool = cfg!(not(undetected));

/// Whether it is of any use to note where a lock was taken.
pub(crate) const KEEPS_LINES: bool = true;

/// Whether looking again and again can be worth it.
pub(crate) const CAN_SPIN: bool = true;

/// Has the processor fetch this to write to it, while the caller does something else.
#[inline]
pub(crate) fn fetch<V: ?Sized>(value: &V) {
    for line in (0..size_of_val(value)).step_by(64).take(4) {
        let line = std::ptr::from_ref(value).cast::<u8>().wrapping_add(line);
        // `_mm_prefetch::<_MM_HINT_ET0>` is this instruction only where the target has the feature `prfchw`; elsewhere it
        // fetches the line to be read, and the first write waits. Processors of 64 bits that do not know the instruction
        // ignore it.
        #[cfg(target_arch = "x86_64")]
        // SAFETY: it is a hint, and reads nothing.
        unsafe {
            std::arch::asm!("prefetchw byte ptr [{}]", in(reg) line.addr(), options(nomem, nostack, preserves_flags));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

/// Whether an owner looks for a while before it parks.
#[inline(always)]
pub(crate) const fn owners_look() -> bool {
    CAN_SPIN
}

/// The processor that runs the calling thread, where the system tells.
#[inline]
pub(crate) fn processor() -> Option<u32> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: it takes nothing and touches nothing.
        u32::try_from(unsafe { libc::sched_getcpu() }).ok()
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// A cell whose accesses loom checks against each other.
#[derive(Debug)]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Reads; the pointer is good for reads as far as the caller's protocol says so.
    #[inline(always)]
    pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Writes; the pointer is unique as far as the caller's protocol says so.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

/// How many chunks a [`Table`] can have, and how many records the first one has.
const CHUNKS: usize = 22;
const FIRST: u32 = 64;

/// Records that stay where they are for as long as the program runs, found by a number, used again and again.
///
/// Whoever holds a stale number may look: it sees a record, though perhaps somebody else's. The chunks double
/// in size, are never moved and never freed.
pub(crate) struct Table<T: 'static> {
    /// Null, or the first record of a chunk that was leaked.
    chunks: [AtomicPtr<T>; CHUNKS],
    free: Mutex<Vec<u32>>,
    used: AtomicU32,
}

/// A record of a [`Table`].
pub(crate) type Record<T> = &'static T;

/// A place for a record.
pub(crate) struct RecordCell<T: 'static>(Cell<Option<Record<T>>>);

impl<T> RecordCell<T> {
    pub(crate) const fn new() -> Self {
        Self(Cell::new(None))
    }

    pub(crate) fn set(&self, record: Option<&Record<T>>) {
        self.0.set(record.copied());
    }

    #[inline(always)]
    pub(crate) const fn get(&self) -> Option<Record<T>> {
        self.0.get()
    }
}

impl<T: Default + Send + Sync> Table<T> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: [const { AtomicPtr::new(std::ptr::null_mut()) }; CHUNKS],
            free: Mutex::new(Vec::new()),
            used: AtomicU32::new(0),
        }
    }

    /// A number nobody uses now.
    ///
    /// # Panics
    ///
    /// With 268 million records in use.
    pub(crate) fn take(&self) -> u32 {
        let mut free = self.free.lock();
        free.pop().unwrap_or_else(|| {
            let index = self.used.load(Ordering::Relaxed);
            let (chunk, place) = Self::place(index);
            assert!(chunk < CHUNKS, "more than {index} tasks at one time");
            if place == 0 {
                let records: Box<[T]> =
                    std::iter::repeat_with(T::default).take((FIRST as usize) << chunk).collect();
                self.chunks[chunk].store(Box::leak(records).as_mut_ptr(), Ordering::Release);
            }
            // Release: whoever counts the records finds their chunks.
            self.used.store(index + 1, Ordering::Release);
            index
        })
    }

    /// Gives a number back, to be taken again.
    pub(crate) fn give_back(&self, index: u32) {
        self.free.lock().push(index);
    }

    /// The record of a number that was taken at some time.
    #[inline]
    pub(crate) fn at(&'static self, index: u32) -> Record<T> {
        let (chunk, place) = Self::place(index);
        let first = self.chunks[chunk].load(Ordering::Acquire);
        assert!(!first.is_null(), "the number was not taken from this table");
        // SAFETY: a chunk has more records than a place in it can say, and stays for as long as the table does.
        unsafe { &*first.add(place) }
    }

    /// How many numbers were ever taken: `0..used()` can be looked at.
    pub(crate) fn used(&self) -> u32 {
        self.used.load(Ordering::Acquire)
    }

    /// Chunk `k` holds the indices from `FIRST * (2^k - 1)` on.
    const fn place(index: u32) -> (usize, usize) {
        let shifted = index + FIRST;
        let chunk = (shifted / FIRST).ilog2();
        (chunk as usize, (shifted - (FIRST << chunk)) as usize)
    }
}

/// Runs when the thread that holds it ends.
pub(crate) struct AtThreadExit(pub(crate) fn(u64), pub(crate) u64);

impl Drop for AtThreadExit {
    fn drop(&mut self) {
        (self.0)(self.1);
    }
}

/// A thread that was spawned here.
pub(crate) type JoinHandle = std::thread::JoinHandle<()>;

/// Starts an OS thread.
///
/// # Errors
///
/// The operating system has no thread to give.
pub(crate) fn spawn(
    name: Option<String>,
    stack_size: Option<usize>,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle> {
    let mut builder = std::thread::Builder::new();
    if let Some(name) = name {
        builder = builder.name(name);
    }
    if let Some(size) = stack_size {
        builder = builder.stack_size(size);
    }
    builder.spawn(body)
}

type Work = Box<dyn FnOnce() + Send>;

/// How long a thread without work waits for some.
const IDLE: Duration = Duration::from_secs(5);

/// Threads that wait for work, by the numbers that they give themselves; the one that began last to wait comes last.
static WAITING: Mutex<Vec<(u64, mpsc::Sender<Work>)>> = Mutex::new(Vec::new());

/// Runs `work` on a thread that is through with other work, or on a new one.
///
/// # Errors
///
/// The operating system has no thread to give.
pub(crate) fn spawn_again(work: Work) -> std::io::Result<()> {
    let waiting = WAITING.lock().pop();
    let work = match waiting {
        None => work,
        // One that took itself out of the list would not be in it.
        Some((_, thread)) => match thread.send(work) {
            Ok(()) => return Ok(()),
            Err(mpsc::SendError(work)) => work,
        },
    };
    std::thread::Builder::new().name("impasse run".into()).spawn(move || works(work)).map(drop)
}

/// What such a thread does.
fn works(mut work: Work) {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let (sender, more) = mpsc::channel();
    loop {
        work();
        WAITING.lock().push((number, sender.clone()));
        work = match more.recv_timeout(IDLE) {
            Ok(next) => next,
            Err(_) => {
                let mut waiting = WAITING.lock();
                let before = waiting.len();
                waiting.retain(|(other, _)| *other != number);
                let is_out = waiting.len() < before;
                drop(waiting);
                match is_out {
                    true => return,
                    // Somebody has taken this thread and is about to send.
                    false => match more.recv() {
                        Ok(next) => next,
                        Err(_) => return,
                    },
                }
            }
        };
    }
}

thread_local! {
    /// A closure on this thread's stack wants the backtrace of its panic.
    static WANTS_BACKTRACE: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic of this thread began.
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
    /// How many places were noted on this thread.
    static NOTED: Cell<u32> = const { Cell::new(0) };
}

struct Place {
    at: (String, u32),
    backtrace: Option<Arc<Backtrace>>,
}

/// A value that can stand in a static: natively, that value.
pub(crate) struct Late<T>(T);

impl<T> Late<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> std::ops::Deref for Late<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A value for a static, that no other platform can make before the program runs.
macro_rules! late {
    ($value:expr) => {
        $crate::platform::Late::new($value)
    };
}
pub(crate) use late;

/// A function that makes what stands in a static.
macro_rules! const_fn {
    ($(#[$about:meta])* $seen:vis fn $name:ident($($argument:ident: $kind:ty),*) -> $made:ty $body:block) => {
        $(#[$about])*
        $seen const fn $name($($argument: $kind),*) -> $made $body
    };
}
pub(crate) use const_fn;

/// Thread locals that are there from the beginning and need no drop: reading one costs a load.
macro_rules! thread_words {
    ($($(#[$about:meta])* static $name:ident: $kind:ty = $value:expr;)*) => {
        std::thread_local! {
            $($(#[$about])* static $name: $kind = const { $value };)*
        }
    };
}
pub(crate) use thread_words;

/// Asks again and again for as long as that is cheaper than to wait: a few turns of spinning, then a few that let
/// others go first. `None` goes on; `false` if nothing came of it.
pub(crate) fn in_a_moment(mut ask: impl FnMut(u32) -> Option<bool>) -> bool {
    for turn in 0..10 {
        match turn {
            0..3 => relax(turn),
            _ => std::thread::yield_now(),
        }
        if let Some(done) = ask(turn) {
            return done;
        }
    }
    false
}

/// Does nothing for a while: the longer, the more often that has been of no use.
pub(crate) fn relax(turn: u32) {
    (0..2_u32 << turn.min(8)).for_each(|_| std::hint::spin_loop());
}

/// Lets other threads go first.
pub(crate) fn yield_now() {
    std::thread::yield_now();
}

/// Runs `body`; a panic is caught, with its place.
///
/// The place is told to the panic hook only, so ours is put before the one that is there, once; it notes the place
/// and calls the other. A program that replaces the hook later gets no places.
#[inline]
pub(crate) fn catch<R>(backtrace: bool, body: impl FnOnce() -> R) -> Result<R, Caught> {
    static ONCE: Once = Once::new();
    ONCE.call_once(note_places);
    let before = NOTED.get();
    let wanted = backtrace && WANTS_BACKTRACE.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    if backtrace {
        WANTS_BACKTRACE.set(wanted);
    }
    result.map_err(|payload| {
        // A panic that is resumed has none: what is there may be that of another, caught long ago.
        let place = PLACE.take().filter(|_| NOTED.get() != before);
        let (at, backtrace) = place.map_or((None, None), |place| (Some(place.at), place.backtrace));
        Caught { payload, at, backtrace }
    })
}

#[cold]
fn note_places() {
    let outside = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if let Some(at) = info.location() {
            let wanted = WANTS_BACKTRACE.try_with(Cell::get).unwrap_or_default();
            let backtrace = wanted.then(|| Arc::new(Backtrace::force_capture()));
            let place = Place { at: (at.file().to_owned(), at.line()), backtrace };
            let _ = PLACE.try_with(|last| last.replace(Some(place)));
            let _ = NOTED.try_with(|noted| noted.set(noted.get().wrapping_add(1)));
        }
        outside(info);
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_finds_every_record_where_it_put_it() {
        static TABLE: Table<AtomicU32> = Table::new();
        for expected in 0..1000 {
            assert_eq!(TABLE.take(), expected);
            TABLE.at(expected).store(expected, Ordering::Relaxed);
        }
        for index in 0..1000 {
            assert_eq!(TABLE.at(index).load(Ordering::Relaxed), index);
        }
        TABLE.give_back(17);
        assert_eq!(TABLE.take(), 17);
        assert_eq!(TABLE.used(), 1000);
    }
}
