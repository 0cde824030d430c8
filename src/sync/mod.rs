//! Tracked primitives: what a program waits with, so that the detector sees it.
//!
//! | file | idea |
//! | --- | --- |
//! | `slot.rs` | a value that arrives once: every reply and every result of a run |
//! | `mutex.rs` | a lock that knows who holds it |
//! | `thread.rs` | threads that hand their lineage on, and whose joins are waits |

mod mutex;
mod slot;
pub mod thread;

pub use mutex::{Mutex, MutexGuard};

pub(crate) use slot::{Abandoned, Reader, Setter, slot};
