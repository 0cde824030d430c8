// rustdoc gets no RUSTFLAGS: under `--cfg loom` there is nothing that its doctests could link.
#![cfg(not(all(loom, doctest)))]
//! Owner loops that cannot deadlock.

#[cfg(all(feature = "cli", not(loom)))]
#[doc(hidden)]
pub mod cli;
#[cfg(all(feature = "js", not(loom)))]
pub mod js;
mod owner;
mod platform;
#[cfg(all(feature = "cli", not(loom)))]
mod report;
mod session;
pub mod sync;
pub mod wait;

pub use owner::{
    Builder as OwnerBuilder, CallError, Closed, Handle, Owner, OwnerLoop, Panicked, ShutdownError,
    SpawnError, UnknownPolicy, WaitOnOwner,
};
pub use session::{Builder as SessionBuilder, Run, RunError, RunHandle, Session};
pub use sync::thread;
pub use wait::{Deadlock, Hop, IntoOp, Op, Site, Waiting, on_deadlock, waiting_tasks};

/// What a model needs besides.
#[cfg(loom)]
#[doc(hidden)]
pub mod checking {
    /// Waits for the threads of an execution that nobody waits for: its statics end with it.
    pub fn join_detached() {
        crate::platform::join_detached();
    }
}
