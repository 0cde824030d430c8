//! Threads that hand their lineage on, and whose joins the detector sees. As `std::thread`'s.
//!
//! | file | idea |
//! | --- | --- |
//! | `spawn.rs` | starting a thread, and its end |
//! | `scope.rs` | threads that borrow, and end before what they borrow does |
//! | `park.rs` | waiting until somebody says go on |
//! | `pool.rs` | a fixed number of threads that share a queue of work |

mod park;
mod pool;
mod scope;
mod spawn;

pub use park::{Thread, current, park, park_timeout};
pub use pool::{Pool, Work};
pub use scope::{Scope, ScopedJoinHandle, scope};
pub use spawn::{Builder, JoinHandle, join_all, spawn, spawn_named, spawn_with};

use crate::wait;

/// Blocks for this long, in the virtual time of an exploration.
pub use super::time::sleep;

/// Lets other threads go first. Inside an exploration it is a place where another task may go on, as every step
/// is.
pub fn yield_now() {
    if !wait::yield_now() {
        std::thread::yield_now();
    }
}
