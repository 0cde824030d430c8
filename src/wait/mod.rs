//! Who waits, what for, who can end it, and the one place that blocks.
//!
//! | file | idea |
//! | --- | --- |
//! | `op.rs` | what a task does and where in the source: the words of every report |
//! | `lineage.rs` | on whose behalf a task acts |
//! | `task.rs` | who waits |
//! | `resource.rs` | what for, and who provides it |
//! | `graph.rs` | the wait-for graph as pure data: does this wait complete a deadlock? |
//! | `holds.rs` | the locks that a task has taken, and where |
//! | `insist.rs` | waits whose API has no error to return |
//! | `permit.rs` | leave for a task to go on, which anybody can give |
//! | `scheduler.rs` | how an explorer takes the door over |
//! | `registry.rs` | all tasks, and the lock under which they are judged |
//! | `verdict.rs` | who is told of a deadlock, and who leaves it |
//! | `door.rs` | publish, look, block, leave: every wait of this crate goes through it |
//! | `deadlock.rs` | the error that carries the whole cycle |
//! | `drawing.rs` | the same for programs: as JSON and as a graph |

// A record is a reference natively and an `Arc` under loom: `&record` fits both.
#![allow(clippy::needless_borrow)]
// loom's thread locals have no `const` form.
#![allow(clippy::missing_const_for_thread_local)]

mod cancel;
mod clock;
mod deadlock;
mod door;
mod drawing;
pub mod graph;
mod holds;
mod insist;
mod lineage;
pub(crate) mod op;
mod patience;
pub(crate) mod permit;
mod registry;
mod resource;
mod scheduler;
mod task;
mod verdict;

pub use cancel::{Cancelled, WaitError};
pub use deadlock::{Deadlock, Hop, on_deadlock};
pub use holds::keep_lines;
pub use insist::{Unreturnable, on_unreturnable};
pub use lineage::{Following, Lineage};
pub(crate) use op::At;
pub use op::{IntoOp, Op, Site};
pub use registry::{Waiting, waiting_tasks};
pub(crate) use registry::{name, seems_to_wait, waiting_of};
pub use task::current_op;

pub(crate) use cancel::{Cancel, Standing};
pub(crate) use clock::now;
pub(crate) use door::{Arrival, Awaited, Inside, Request, Terms, door, door_of, surely};
pub(crate) use holds::{
    Hold, forget, hold, hold_for, hold_otherwise, holders, line_of, unhold, unhold_by_another,
};
pub(crate) use insist::{insist, never, unwound_by};
pub(crate) use lineage::Activation;
pub(crate) use resource::{Providers, Resource};
pub(crate) use scheduler::{
    Access, Kind, Object, Stamp, StampCell, is_explored, timeouts_any_time, wakes_spuriously, yield_now,
};
pub(crate) use task::{
    Called, Keep, Local, Manner, Server, Task, TaskId, Thread, WhereItRuns, current, current_id,
    current_sender,
};
pub(crate) use verdict::providers_changed;

/// What the explorer needs of this room.
#[cfg(feature = "explore")]
pub(crate) mod explored {
    pub(crate) use super::registry::{leads_through, name as name_of, waits_of};
    #[cfg(test)]
    pub(crate) use super::scheduler::is_ending;
    pub(crate) use super::scheduler::{
        EXECUTION, Goes, Scheduler, Step, Turn, Yielder, begins, goes_on, quiet, while_active,
    };
    pub(crate) use super::task::Held;
}
