//! A closure of any type, in place if it is small.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// How much of a closure is kept in place, in words: 40 bytes. What is larger goes into a box.
const WORDS: usize = 5;
type Words = [MaybeUninit<u64>; WORDS];

/// A closure that is called once or dropped, on any thread.
pub(super) struct Capture<T> {
    /// Calls what the words hold with the state, or drops it without one.
    end: unsafe fn(*mut Words, Option<&T>),
    words: Words,
}

// SAFETY: it holds a closure that is `Send`: `new` asks for that.
unsafe impl<T> Send for Capture<T> {}

impl<T> Capture<T> {
    /// Whether a closure is kept in place.
    #[inline(always)]
    pub(super) const fn fits<F>(_: &F) -> bool {
        const { size_of::<F>() <= size_of::<Words>() && align_of::<F>() <= align_of::<Words>() }
    }

    #[inline(always)]
    pub(super) fn new<F: FnOnce(&T) + Send + 'static>(closure: F) -> Self {
        let mut words = [MaybeUninit::uninit(); WORDS];
        if Self::fits(&closure) {
            // SAFETY: it fits, as was just asked.
            unsafe { words.as_mut_ptr().cast::<F>().write(closure) };
            Self { end: end::<T, F>, words }
        } else {
            // SAFETY: a box is one word.
            unsafe { words.as_mut_ptr().cast::<Box<F>>().write(Box::new(closure)) };
            Self { end: end_boxed::<T, F>, words }
        }
    }

    /// Calls it, where it is; a second time nothing happens.
    #[inline]
    pub(super) fn call(&mut self, state: &T) {
        let end = std::mem::replace(&mut self.end, nothing::<T>);
        // SAFETY: the words hold what `end` was made for, and nobody looks at them again.
        unsafe { end(&raw mut self.words, Some(state)) }
    }
}

impl<T> Drop for Capture<T> {
    fn drop(&mut self) {
        // SAFETY: the words hold what `end` was made for, and this is the end of them.
        unsafe { (self.end)(&raw mut self.words, None) }
    }
}

/// The words hold nothing any more.
fn nothing<T>(_: *mut Words, _: Option<&T>) {}

/// # Safety
///
/// The words hold an `F`, which is theirs no more after this.
unsafe fn end<T, F: FnOnce(&T)>(words: *mut Words, state: Option<&T>) {
    // SAFETY: the caller's contract.
    let closure = unsafe { words.cast::<F>().read() };
    if let Some(state) = state {
        closure(state);
    }
}

/// # Safety
///
/// The words hold a `Box<F>`, which is theirs no more after this.
unsafe fn end_boxed<T, F: FnOnce(&T)>(words: *mut Words, state: Option<&T>) {
    // SAFETY: the caller's contract.
    let closure = unsafe { words.cast::<Box<F>>().read() };
    if let Some(state) = state {
        closure(state);
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

    #[test]
    fn closures_of_every_size_are_called_once_or_dropped_once() {
        let count = Arc::new(AtomicUsize::new(0));
        let both = |mut called: Capture<usize>, dropped: Capture<usize>| {
            called.call(&10);
            drop(dropped);
        };
        both(Capture::new(counts::<1>(&count)), Capture::new(counts::<1>(&count)));
        both(Capture::new(counts::<4>(&count)), Capture::new(counts::<4>(&count)));
        both(Capture::new(counts::<5>(&count)), Capture::new(counts::<5>(&count)));
        both(Capture::new(counts::<50>(&count)), Capture::new(counts::<50>(&count)));
        assert_eq!(count.load(Ordering::Relaxed), 600);
        assert_eq!(Arc::strong_count(&count), 1, "a closure is still there");
    }

    #[test]
    fn a_closure_that_panics_is_not_dropped_again() {
        let count = Arc::new(AtomicUsize::new(0));
        let held = count.clone();
        let mut panics = Capture::new(move |_: &usize| panic!("{held:?}"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| panics.call(&1))).is_err());
        assert_eq!(Arc::strong_count(&count), 1);
    }
}
