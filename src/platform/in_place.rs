//! Values that are made where they stay.
//!
//! `Arc::new` makes its value on the stack and moves it. The move reads in large pieces what has just been written in
//! small ones, and for that a processor waits until all of it has reached the cache: for a value of a hundred bytes as
//! long as for the rest of a short call.

#![allow(unsafe_code)]

use std::rc::Rc;
use std::sync::Arc;

/// As [`Arc::new`].
#[inline(always)]
pub(crate) fn arc<V>(make: impl FnOnce() -> V) -> Arc<V> {
    let place = Arc::<V>::new_uninit();
    // SAFETY: nobody else knows of the place yet. (`get_mut` would ask, by an atomic exchange.)
    unsafe { Arc::as_ptr(&place).cast::<V>().cast_mut().write(make()) };
    // SAFETY: it has just been written.
    unsafe { place.assume_init() }
}

/// As [`Rc::new`].
#[inline(always)]
pub(crate) fn rc<V>(make: impl FnOnce() -> V) -> Rc<V> {
    let place = Rc::<V>::new_uninit();
    // SAFETY: nobody else knows of the place yet.
    unsafe { Rc::as_ptr(&place).cast::<V>().cast_mut().write(make()) };
    // SAFETY: it has just been written.
    unsafe { place.assume_init() }
}
