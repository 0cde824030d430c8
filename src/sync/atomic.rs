//! Atomics whose every access is a step of the explorer.
//!
//! Sequentially consistent, always: that is what the explorer explores, so that is what they are. Where the
//! order of weaker accesses matters, the tool is loom.

use std::fmt;
use std::sync::atomic::Ordering::SeqCst;

use crate::wait::{IntoOp, Kind, Object};

macro_rules! atomic {
    ($name:ident, $std:ident, $value:ty, $($arithmetic:ident: $what:literal),*) => {
        #[doc = concat!("A sequentially consistent `", stringify!($value), "` that tasks share.")]
        pub struct $name {
            value: std::sync::atomic::$std,
            object: Object,
        }

        impl $name {
            /// One with this value.
            #[must_use]
            pub fn new(value: $value) -> Self {
                Self { value: std::sync::atomic::$std::new(value), object: Object::new() }
            }

            /// The value.
            #[track_caller]
            pub fn load(&self) -> $value {
                self.object.step("load".into_op(), Kind::Load);
                self.value.load(SeqCst)
            }

            /// Replaces the value.
            #[track_caller]
            pub fn store(&self, value: $value) {
                self.object.step("store".into_op(), Kind::Store);
                self.value.store(value, SeqCst);
            }

            /// Replaces the value and returns the one before.
            #[track_caller]
            pub fn swap(&self, value: $value) -> $value {
                self.object.step("swap".into_op(), Kind::Store);
                self.value.swap(value, SeqCst)
            }

            /// Replaces the value if it is `current`.
            ///
            /// # Errors
            ///
            /// The value, if it is another.
            #[track_caller]
            pub fn compare_exchange(&self, current: $value, new: $value) -> Result<$value, $value> {
                self.object.step("compare_exchange".into_op(), Kind::Store);
                self.value.compare_exchange(current, new, SeqCst, SeqCst)
            }

            $(
                #[doc = $what]
                #[track_caller]
                pub fn $arithmetic(&self, operand: $value) -> $value {
                    self.object.step(stringify!($arithmetic).into_op(), Kind::Store);
                    self.value.$arithmetic(operand, SeqCst)
                }
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new(Default::default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.value, f)
            }
        }
    };
}

atomic!(AtomicBool, AtomicBool, bool, fetch_or: "Sets it if `operand` is set; returns the value before.");
atomic!(AtomicU64, AtomicU64, u64,
    fetch_add: "Adds, wrapping around; returns the value before.",
    fetch_sub: "Subtracts, wrapping around; returns the value before.");
atomic!(AtomicUsize, AtomicUsize, usize,
    fetch_add: "Adds, wrapping around; returns the value before.",
    fetch_sub: "Subtracts, wrapping around; returns the value before.");
