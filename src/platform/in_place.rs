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
    let mut value = Arc::new_uninit();
    Arc::get_mut(&mut value).expect("nobody else knows of it yet").write(make());
    // SAFETY: it has just been written.
    unsafe { value.assume_init() }
}

/// As [`Rc::new`].
#[inline(always)]
pub(crate) fn rc<V>(make: impl FnOnce() -> V) -> Rc<V> {
    let mut value = Rc::new_uninit();
    Rc::get_mut(&mut value).expect("nobody else knows of it yet").write(make());
    // SAFETY: it has just been written.
    unsafe { value.assume_init() }
}
