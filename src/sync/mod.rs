//! Tracked primitives: what a program waits with, so that the detector sees it.
//!
//! | file | idea |
//! | --- | --- |
//! | `slot.rs` | a value that arrives once: every reply and every result of a run |
//! | `mutex.rs` | a lock that knows who holds it |
//! | `condvar.rs` | waiting, with a lock given back, to be notified |
//! | `queue.rs` | items that go from any task to any task |
//! | `atomic.rs` | atomics that the explorer sees |
//! | `thread.rs` | threads that hand their lineage on, and whose joins are waits |

pub mod atomic;
mod condvar;
mod mutex;
mod queue;
mod slot;
pub mod thread;

pub use condvar::Condvar;
pub use mutex::{Mutex, MutexGuard};
pub use queue::Queue;

pub(crate) use slot::{Abandoned, Reader, Setter, slot};
