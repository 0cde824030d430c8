//! The machine, as the rest of the crate sees it.
//!
//! Two files with the same names: `native.rs` on the standard library and parking_lot, `loom.rs` on the
//! model checker. This is the only switch between them; every room above is compiled unchanged for both,
//! so that what loom checks is what ships.

#[cfg(not(loom))]
mod native;
#[cfg(not(loom))]
pub(crate) use native::*;

#[cfg(loom)]
#[path = "loom.rs"]
mod model;
#[cfg(loom)]
pub(crate) use model::*;

mod in_place;
mod seeded;
mod token;
pub(crate) use in_place::{arc, rc};
pub(crate) use seeded::Bug;

/// A panic that was caught.
pub(crate) struct Caught {
    pub(crate) payload: Box<dyn std::any::Any + Send>,
    /// The line that panicked, where the hook was ours to ask.
    pub(crate) at: Option<(String, u32)>,
    pub(crate) backtrace: Option<std::sync::Arc<std::backtrace::Backtrace>>,
}
