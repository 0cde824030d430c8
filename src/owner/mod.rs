//! The owner loop: one thread that owns a state and runs jobs on it, one at a time, in the order they came.
//!
//! | file | idea |
//! | --- | --- |
//! | `policy.rs` | what a wait on the owner thread does |
//! | `handle.rs` | calls and posts from anywhere |
//! | `job.rs` | a closure on its way to the owner |
//! | `mailbox.rs` | the queue, and when the owner sleeps |
//! | `main_loop.rs` | the loop itself, and serving while it waits |
//! | `lifecycle.rs` | from the builder to the shutdown |
//! | `error.rs` | what a call, a post, a spawn and a shutdown can end in |

mod error;
mod handle;
mod job;
mod lifecycle;
mod mailbox;
mod main_loop;
mod policy;

pub use error::{CallError, Closed, Panicked, ShutdownError, SpawnError};
pub use handle::Handle;
pub use lifecycle::{Builder, Owner};
pub use main_loop::OwnerLoop;
pub use policy::{UnknownPolicy, WaitOnOwner};

pub(crate) use error::BoxError;
pub(crate) use job::caught;
pub(crate) use main_loop::on_owner_thread;
