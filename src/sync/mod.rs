//! Tracked primitives: what a program waits with, so that the detector sees it.
//!
//! | file | idea |
//! | --- | --- |
//! | `slot.rs` | a value that arrives once: every reply and every result of a run |
//! | `mutex/` | a lock that knows who holds it |
//! | `rwlock/` | a lock that knows who reads it and who writes |
//! | `made.rs` | what a primitive is called |
//! | `condvar.rs` | waiting, with a lock given back, to be notified |
//! | `promise.rs` | a value that one task promises and another waits for |
//! | `channel/` | items that go from senders to receivers, and a choice among several such |
//! | `ends.rs` | who can still do what others wait for, and ends that are bound to their task |
//! | `once.rs` | what is done once, while others wait for it |
//! | `barrier.rs` | where tasks wait for each other |
//! | `wait_group.rs` | waiting until others are through |
//! | `semaphore.rs` | a number of permits |
//! | `time.rs` | time, which is virtual in an exploration |
//! | `line.rs` | those who wait for something, in the order in which they came |
//! | `queue.rs` | items that go from any task to any task |
//! | `future.rs` | a slot's value as a future |
//! | `atomic.rs` | atomics that the explorer sees |
//! | `thread/` | threads that hand their lineage on, and whose joins are waits |

pub mod atomic;
mod barrier;
pub mod channel;
mod condvar;
mod ends;
mod future;
mod line;
mod made;
mod mutex;
mod once;
mod promise;
mod queue;
mod rwlock;
mod semaphore;
mod slot;
pub mod thread;
pub mod time;
mod wait_group;

pub use crate::wait::keep_lines;
pub use barrier::{Barrier, BarrierWaitResult, Party};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use ends::{End, Held};
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard, RawMutex};
pub use once::{LazyLock, Once, OnceLock};
pub use promise::{Promise, PromiseError, Promised, Resolver, promise, promise_named};
pub use queue::Queue;
pub use rwlock::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, RawRwLock, RwLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard,
};
pub use semaphore::{Semaphore, SemaphorePermit};
pub use wait_group::WaitGroup;

pub(crate) use future::Arriving;
pub(crate) use line::{Line, Place};
pub(crate) use slot::{Abandoned, Reader, Setter, Settled, Slot, slot};
