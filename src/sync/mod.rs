//! Tracked primitives: what a program waits with, so that the detector sees it.
//!
//! | file | idea |
//! | --- | --- |
//! | `slot.rs` | a value that arrives once: every reply and every result of a run |
//! | `mutex.rs` | a lock that knows who holds it |
//! | `condvar.rs` | waiting, with a lock given back, to be notified |
//! | `line.rs` | those who wait for something, in the order in which they came |
//! | `queue.rs` | items that go from any task to any task |
//! | `future.rs` | a slot's value as a future |
//! | `atomic.rs` | atomics that the explorer sees |
//! | `thread.rs` | threads that hand their lineage on, and whose joins are waits |

pub mod atomic;
mod condvar;
mod future;
mod line;
mod mutex;
mod queue;
mod slot;
pub mod thread;

pub use condvar::Condvar;
pub use mutex::{Mutex, MutexGuard};
pub use queue::Queue;

pub(crate) use future::Arriving;
pub(crate) use line::{Line, Place};
pub(crate) use slot::{Abandoned, Reader, Setter, Settled, Slot, slot};
