//! What a job does, as words: a closure of any type, in place if it is small, or the promise of a kept job.

#![allow(unsafe_code)]

use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;

use super::job::Promise;
use super::panics::{Backtrace, Outcome, caught};
use crate::wait::Op;

/// How much is kept in place at most, in words: 40 bytes. What is larger goes into a box.
pub(super) const MOST: usize = 5;
pub(super) type Word = MaybeUninit<u64>;

/// What a job can be: run once on the state, or dropped, on any thread. It borrows nothing.
pub(super) trait Load<T>: Send {
    /// Only what says so is asked for its promise.
    const IS_PROMISE: bool = false;

    fn promise(&self) -> Option<&Promise<T>> {
        None
    }

    /// Runs it from where it lies. (A closure that is moved before it is called is read in other pieces than it has just
    /// been written in, and for that a processor waits.)
    ///
    /// # Safety
    ///
    /// There is one, and it is that place's no more after this.
    unsafe fn run(this: *mut Self, on: &On<'_, T>) -> Outcome<()>;
}

/// What a load is run with.
pub(super) struct On<'a, T> {
    pub(super) op: Op,
    pub(super) state: &'a T,
    pub(super) backtrace: Backtrace,
}

/// A closure that nobody waits for.
pub(super) struct Post<F>(pub(super) F);

impl<T, F: FnOnce(&T) + Send + 'static> Load<T> for Post<F> {
    #[inline(always)]
    unsafe fn run(this: *mut Self, on: &On<'_, T>) -> Outcome<()> {
        caught(on.op, on.backtrace, || {
            // SAFETY: the caller's contract.
            let Self(post) = unsafe { this.read() };
            post(on.state);
        })
    }
}

/// What is too large to be kept in place.
impl<T, L: Load<T>> Load<T> for Box<L> {
    const IS_PROMISE: bool = L::IS_PROMISE;

    fn promise(&self) -> Option<&Promise<T>> {
        (**self).promise()
    }

    unsafe fn run(this: *mut Self, on: &On<'_, T>) -> Outcome<()> {
        // SAFETY: the caller's contract; the box goes, but not what it held.
        unsafe {
            let mut load = this.cast::<Box<ManuallyDrop<L>>>().read();
            L::run(&raw mut **load, on)
        }
    }
}

/// Whether it is kept in place.
#[inline(always)]
pub(super) const fn fits<L>(_: &L) -> bool {
    const { size_of::<L>() <= size_of::<[Word; MOST]>() && align_of::<L>() <= align_of::<Word>() }
}

/// How many words it takes up there: no two are in one place.
const fn words_of<L>() -> u16 {
    let words = size_of::<L>().div_ceil(size_of::<Word>());
    if words == 0 { 1 } else { words as u16 }
}

/// What some words hold. There is one for each type of load, and it is there for ever.
pub(super) struct Kind<T> {
    /// How many they are.
    words: u16,
    is_promise: bool,
    /// Asks them for their promise.
    promise: unsafe fn(*const Word) -> Option<NonNull<Promise<T>>>,
    /// Runs what they hold, or drops it.
    end: unsafe fn(*mut Word, Option<&On<'_, T>>) -> Outcome<()>,
}

impl<T> Kind<T> {
    /// That of a load that fits.
    #[inline(always)]
    fn of<L: Load<T>>() -> *const Self {
        let kind = const {
            &Self {
                words: words_of::<L>(),
                is_promise: L::IS_PROMISE,
                promise: promise::<T, L>,
                end: end::<T, L>,
            }
        };
        std::ptr::from_ref(kind)
    }
}

/// # Safety
///
/// The words hold an `L`.
unsafe fn promise<T, L: Load<T>>(words: *const Word) -> Option<NonNull<Promise<T>>> {
    // SAFETY: the caller's contract.
    unsafe { &*words.cast::<L>() }.promise().map(NonNull::from)
}

/// # Safety
///
/// The words hold an `L`, which is theirs no more after this.
unsafe fn end<T, L: Load<T>>(words: *mut Word, on: Option<&On<'_, T>>) -> Outcome<()> {
    let load = words.cast::<L>();
    // SAFETY: the caller's contract.
    unsafe {
        match on {
            Some(on) => L::run(load, on),
            None => {
                load.drop_in_place();
                Ok(())
            }
        }
    }
}

/// The kind of a load, as [`write`] puts it into words.
#[inline(always)]
pub(super) fn kind_of<T, L: Load<T>>(load: &L) -> *const Kind<T> {
    if fits(load) { Kind::of::<L>() } else { Kind::of::<Box<L>>() }
}

/// Puts a load into words, of which there are [`MOST`], or a box that holds it.
///
/// # Safety
///
/// They are the caller's to write to.
#[inline(always)]
pub(super) unsafe fn write<T, L: Load<T>>(words: *mut Word, load: L) {
    if fits(&load) {
        // SAFETY: it fits, as was just asked.
        unsafe { words.cast::<L>().write(load) };
    } else {
        // SAFETY: a box is one word.
        unsafe { words.cast::<Box<L>>().write(Box::new(load)) };
    }
}

/// How many words are of this kind.
///
/// # Safety
///
/// It comes from [`kind_of`].
#[inline(always)]
pub(super) unsafe fn length<T>(kind: *const Kind<T>) -> u16 {
    // SAFETY: kinds are there for ever.
    unsafe { (*kind).words }
}

/// Whether words of this kind are a promise.
///
/// # Safety
///
/// It comes from [`kind_of`].
#[inline(always)]
pub(super) unsafe fn is_promise<T>(kind: *const Kind<T>) -> bool {
    // SAFETY: kinds are there for ever.
    unsafe { (*kind).is_promise }
}

/// The promise that these words are, if they are one.
///
/// # Safety
///
/// They are of this kind, and stay as they are for as long as the promise is looked at.
#[inline(always)]
pub(super) unsafe fn promise_of<'a, T>(kind: *const Kind<T>, words: *const Word) -> Option<&'a Promise<T>> {
    // SAFETY: kinds are there for ever; for the words it is the caller's contract.
    unsafe {
        let promise = if is_promise(kind) { ((*kind).promise)(words) } else { None };
        promise.map(|promise| promise.as_ref())
    }
}

/// A load that has been taken out of the queue.
pub(super) struct Work<T> {
    /// Of what kind the words are, until they have been run.
    kind: Option<NonNull<Kind<T>>>,
    words: [Word; MOST],
}

// SAFETY: it is a load, and loads are `Send`.
unsafe impl<T> Send for Work<T> {}

impl<T> Work<T> {
    /// Room for one.
    #[inline(always)]
    pub(super) fn none() -> Self {
        Self { kind: None, words: [Word::uninit(); MOST] }
    }

    /// Moves one here, out of words. To where it will be run: a processor that reads in one piece what was just written
    /// in several has to wait, and so every move of a load takes as long as a small job.
    ///
    /// # Safety
    ///
    /// The words are of this kind, and theirs it is no more after this. [`MOST`] of them can be read, whatever they are.
    #[inline(always)]
    pub(super) unsafe fn take(&mut self, kind: *const Kind<T>, words: *const Word) {
        debug_assert!(self.kind.is_none(), "a load is replaced");
        // All of them, since that is a few instructions, and only as many as there are would be a loop.
        // SAFETY: the caller's contract.
        unsafe { words.copy_to_nonoverlapping(self.words.as_mut_ptr(), MOST) };
        self.kind = NonNull::new(kind.cast_mut());
    }

    pub(super) fn promise(&self) -> Option<&Promise<T>> {
        // SAFETY: the words are of this kind.
        self.kind.and_then(|kind| unsafe { promise_of(kind.as_ptr(), self.words.as_ptr()) })
    }

    /// Drops it unrun, if it is there.
    pub(super) fn discard(&mut self) {
        // Nothing was run, so nothing came of it.
        let _ = self.end(None);
    }

    /// Runs it; a second time nothing happens.
    #[inline]
    pub(super) fn run(&mut self, on: &On<'_, T>) -> Outcome<()> {
        self.end(Some(on))
    }

    #[inline(always)]
    fn end(&mut self, on: Option<&On<'_, T>>) -> Outcome<()> {
        match self.kind.take() {
            // SAFETY: the words are of this kind, and nobody looks at them again.
            Some(kind) => unsafe { (kind.as_ref().end)(self.words.as_mut_ptr(), on) },
            None => Ok(()),
        }
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        self.discard();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A closure that captures this many words more than a counter.
    fn counts<const N: usize>(count: &Arc<AtomicUsize>) -> impl FnOnce(&usize) + Send + 'static {
        let (count, ballast) = (count.clone(), [1_usize; N]);
        move |by| {
            count.fetch_add(by * ballast.iter().sum::<usize>(), Ordering::Relaxed);
        }
    }

    fn work<T>(load: impl Load<T>) -> Work<T> {
        let mut work = Work::none();
        work.kind = NonNull::new(kind_of(&load).cast_mut());
        // SAFETY: the words are its own.
        unsafe { write(work.words.as_mut_ptr(), load) };
        work
    }

    fn run(work: &mut Work<usize>, state: usize) -> Outcome<()> {
        work.run(&On { op: Op::unasked("count"), state: &state, backtrace: Backtrace::Leave })
    }

    fn is_run_once_or_dropped_once<const N: usize>(is_in_place: bool) {
        let count = Arc::new(AtomicUsize::new(0));
        assert_eq!(fits(&Post(counts::<N>(&count))), is_in_place);
        let [mut is_run, dropped] = [(); 2].map(|()| work(Post(counts::<N>(&count))));
        assert!(run(&mut is_run, 10).is_ok());
        assert!(run(&mut is_run, 10).is_ok());
        drop((is_run, dropped));
        assert_eq!(count.load(Ordering::Relaxed), 10 * N);
        assert_eq!(Arc::strong_count(&count), 1, "a closure is still there");
    }

    #[test]
    fn closures_of_every_size_are_run_once_or_dropped_once() {
        is_run_once_or_dropped_once::<1>(true);
        is_run_once_or_dropped_once::<4>(true);
        is_run_once_or_dropped_once::<5>(false);
        is_run_once_or_dropped_once::<50>(false);
    }

    #[test]
    fn what_must_lie_at_a_round_address_goes_into_a_box() {
        #[repr(align(64))]
        struct Round([u8; 1]);
        let round = Round([7]);
        let load = Post(move |sum: &AtomicUsize| {
            let round = &round;
            assert_eq!(std::ptr::from_ref(round).addr() % 64, 0);
            sum.store(round.0[0].into(), Ordering::Relaxed);
        });
        assert!(!fits(&load));
        let sum = AtomicUsize::new(0);
        let on = On { op: Op::unasked("look"), state: &sum, backtrace: Backtrace::Leave };
        assert!(work(load).run(&on).is_ok());
        assert_eq!(sum.into_inner(), 7);
    }

    /// Not under loom, where outside of a model there is no task to tell of a panic.
    #[cfg(feature = "explore")]
    #[test]
    fn a_closure_that_panics_is_not_dropped_again() {
        let count = Arc::new(AtomicUsize::new(0));
        let held = count.clone();
        let mut panics = work(Post(move |_: &usize| panic!("{held:?}")));
        assert!(run(&mut panics, 1).is_err());
        drop(panics);
        assert_eq!(Arc::strong_count(&count), 1);
    }
}
