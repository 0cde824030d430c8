//! Owners, ours and what one would build from the peers: a thread with a state, a queue of jobs for it, and a
//! reply for who waits.
//!
//! | file | idea |
//! | --- | --- |
//! | `owner.rs` | what is asked of an owner, and the loads that a measurement puts on it |
//! | `subjects.rs` | who is measured |
//! | `ours.rs` | the owner of this crate |
//! | `parts.rs` | an owner built from somebody's queue and somebody's reply |
//! | `channels.rs` | the parts that channel libraries offer |
//! | `locks.rs` | the parts written by hand, with a lock |
//! | `rounds.rs` | rounds of several subjects, interleaved in one child process |

mod channels;
mod locks;
mod ours;
mod owner;
mod parts;
pub mod rounds;
mod subjects;

pub use owner::{Capture, Driven};
pub use subjects::Subject;
