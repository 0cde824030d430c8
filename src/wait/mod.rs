//! Who waits, what for, who can end it, and the one place that blocks.
//!
//! | file | idea |
//! | --- | --- |
//! | `op.rs` | what a task does and where in the source: the words of every report |
//! | `lineage.rs` | on whose behalf a task acts |
//! | `task.rs` | who waits |
//! | `resource.rs` | what for, and who provides it |
//! | `graph.rs` | the wait-for graph as pure data: is there a cycle through this task? |
//! | `scheduler.rs` | how an explorer takes the door over |
//! | `registry.rs` | all tasks, and the lock under which they are judged |
//! | `door.rs` | publish, look, block, leave: every wait of this crate goes through it |
//! | `deadlock.rs` | the error that carries the whole cycle |

// A record is a reference natively and an `Arc` under loom: `&record` fits both.
#![allow(clippy::needless_borrow)]
// loom's thread locals have no `const` form.
#![allow(clippy::missing_const_for_thread_local)]

mod cancel;
mod clock;
mod deadlock;
mod door;
pub mod graph;
mod lineage;
pub(crate) mod op;
mod patience;
mod registry;
mod resource;
mod scheduler;
mod task;

pub use cancel::{Cancelled, WaitError};
pub use deadlock::{Deadlock, Hop, on_deadlock};
pub use lineage::{Following, Lineage};
pub(crate) use op::At;
pub use op::{IntoOp, Op, Site};
pub(crate) use registry::waiting_of;
pub use registry::{Waiting, waiting_tasks};
pub use task::current_op;

pub(crate) use cancel::{Cancel, Standing};
pub(crate) use clock::now;
pub(crate) use door::{Arrival, Awaited, Inside, Request, door};
pub(crate) use lineage::Activation;
pub(crate) use resource::Resource;
pub(crate) use scheduler::{
    Access, Kind, Object, Stamp, StampCell, is_explored, wakes_spuriously, yield_now,
};
pub(crate) use task::{Called, Local, Manner, Scope, Server, Task, TaskId, Thread, WhereItRuns, current};

/// What the explorer needs of this room.
#[cfg(feature = "explore")]
pub(crate) mod explored {
    pub(crate) use super::registry::{leads_through, name as name_of, waits_of};
    #[cfg(test)]
    pub(crate) use super::scheduler::is_ending;
    pub(crate) use super::scheduler::{Scheduler, Step, while_active};
    pub(crate) use super::task::Held;
}
