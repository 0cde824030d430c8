//! The owner loop: one thread that owns a state and runs jobs on it, one at a time, in the order they came.
//!
//! | file | idea |
//! | --- | --- |
//! | `policy.rs` | what a wait on the owner thread does |
//! | `handle.rs` | calls and posts from anywhere |
//! | `asynchronous.rs` | the answer to a call, as a future |
//! | `waits.rs` | what others wait for at an owner |
//! | `ticket.rs` | what the one who waits for a job and the one who runs it know of each other |
//! | `job.rs` | a closure on its way to the owner |
//! | `work.rs` | what a job does, as words |
//! | `about.rs` | what the owner needs to know of a job to choose it |
//! | `block.rs` | jobs behind each other in one piece of memory |
//! | `backlog.rs` | a queue in blocks |
//! | `mailbox/` | the queue, and when the owner sleeps |
//! | `hatch.rs` | where an owner that looks for jobs is told of them, or handed one |
//! | `shared.rs` | what an owner and its handles share |
//! | `main_loop.rs` | the loop itself, and serving while it waits |
//! | `panics.rs`, `resilience.rs` | a job that panics, and what the owner does then |
//! | `stall.rs` | an owner that stays in one job while others are queued |
//! | `trace.rs` | what goes to `tracing` |
//! | `lifecycle.rs` | from the builder to the shutdown |
//! | `error.rs` | what a call, a post, a spawn and a shutdown can end in |

mod about;
mod asynchronous;
mod backlog;
mod block;
mod error;
mod handle;
mod hatch;
mod job;
mod lifecycle;
mod mailbox;
mod main_loop;
mod panics;
mod policy;
mod resilience;
mod shared;
mod stall;
mod ticket;
mod trace;
mod waits;
mod work;

pub use asynchronous::Answer;
pub use error::{CallError, Closed, Panicked, PostError, ShutdownError, SpawnError, Unrun};
pub use handle::Handle;
pub use lifecycle::{Builder, Owner, Shutdown};
pub use main_loop::OwnerLoop;
pub use policy::{UnknownPolicy, WaitOnOwner};
pub use resilience::{AfterPanic, GoOn, Resilience};
pub use stall::Stall;

pub(crate) use error::{BoxError, from_panicked, from_wait_error};
pub(crate) use main_loop::on_owner_thread;
pub(crate) use panics::{Backtrace, caught};
