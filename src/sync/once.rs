//! What is done once, by whoever comes first, while the others wait for it.

use std::fmt;
use std::ops::Deref;

use super::mutex::Mutex;
use crate::platform::Unseen;
use crate::wait::{IntoOp, Kind, Object, Op, WaitError};

/// A value that is set once. Whoever comes while another makes it waits for that one; the edge leads there, so a value
/// whose making needs that value, directly or through others, is a deadlock and reported as one.
///
/// ```
/// let answer = impasse::sync::OnceLock::new();
/// assert_eq!(*answer.get_or_init(|| 42), 42);
/// assert_eq!(*answer.get_or_init(|| unreachable!()), 42);
/// ```
pub struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    /// Held by whoever makes the value.
    making: Mutex<()>,
    object: Object,
}

impl<T> OnceLock<T> {
    /// Without a value. Reports call it by this line.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        Self { value: std::sync::OnceLock::new(), making: Mutex::new(()), object: Object::new() }
    }

    /// One for a static: see [`Mutex::const_new`].
    #[must_use]
    pub const fn const_new() -> Self {
        Self { value: std::sync::OnceLock::new(), making: Mutex::const_new(()), object: Object::NONE }
    }

    /// The value, if it is there.
    pub fn get(&self) -> Option<&T> {
        self.object.step(Op::unasked("get"), Kind::Load);
        self.value.get()
    }

    /// The value, if it is there. Nobody else can reach it.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Sets the value.
    ///
    /// # Errors
    ///
    /// There is one already; `value` is given back.
    ///
    /// # Blocking
    ///
    /// On whoever makes a value now, as [`get_or_init`](Self::get_or_init).
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("it is made once"));
        value.map_or(Ok(()), Err)
    }

    /// The value, which `make` makes if there is none.
    ///
    /// # Panics
    ///
    /// If `make` panics: then there is no value, and the next who comes makes it. As
    /// [`Mutex`]'s `lock()`, if the wait for another who makes it would complete a deadlock.
    ///
    /// # Blocking
    ///
    /// While another makes it; the edge leads to that one.
    #[track_caller]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let _making = self.making.lock();
        self.made_by(make)
    }

    /// As [`get_or_init`](Self::get_or_init), with an error to return.
    ///
    /// # Errors
    ///
    /// As [`Mutex::checked_lock`].
    ///
    /// # Panics
    ///
    /// If `make` panics.
    #[track_caller]
    pub fn checked_get_or_init(&self, make: impl FnOnce() -> T) -> Result<&T, WaitError> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let _making = self.making.checked_lock()?;
        Ok(self.made_by(make))
    }

    /// With the lock.
    fn made_by(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.value.get() {
            return value;
        }
        let value = make();
        self.object.step("set".into_op(), Kind::Store);
        self.value.get_or_init(|| value)
    }

    /// The value, if there is one.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T> Default for OnceLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceLock").field(&self.value.get()).finish()
    }
}

/// Something that is done once. See [`OnceLock`].
#[derive(Debug, Default)]
pub struct Once(OnceLock<()>);

impl Once {
    /// Not done yet. Reports call it by this line.
    #[track_caller]
    #[must_use]
    pub fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Does it, if nobody has; waits for whoever does it now.
    ///
    /// # Panics
    ///
    /// As [`OnceLock::get_or_init`].
    ///
    /// # Blocking
    ///
    /// As `get_or_init`.
    #[track_caller]
    pub fn call_once(&self, body: impl FnOnce()) {
        self.0.get_or_init(body);
    }

    /// Whether it has been done.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.0.get().is_some()
    }
}

/// A value that is made when it is first looked at. See [`OnceLock`].
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    make: Unseen<Option<F>>,
}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that this makes.
    #[track_caller]
    #[must_use]
    pub fn new(make: F) -> Self {
        Self { value: OnceLock::new(), make: Unseen::new(Some(make)) }
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// As [`OnceLock::get_or_init`]; and if its maker has panicked before.
    #[track_caller]
    pub fn force(this: &Self) -> &T {
        this.value.get_or_init(|| {
            let make = this.make.lock().take();
            make.expect("the value of this LazyLock could not be made: its maker panicked")()
        })
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    #[track_caller]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LazyLock").field(&self.value.value.get()).finish()
    }
}
