//! Channels of many senders and many receivers: unbounded, bounded, and of no room at all, where each item goes from hand
//! to hand. As `crossbeam-channel`'s; the errors can also be a deadlock, or that the run on whose behalf the task waits
//! was cancelled.
//!
//! Whoever waits is served in the order in which it came. A channel is closed for one side when the last end of the
//! other is let go.
//!
//! Any task may come to have an end that is not bound to one, so a wait on a channel counts as live while some end of
//! the other side is open. [Hold](super::End::hold) the ends, or give them to their tasks by
//! [`thread::spawn_with`](crate::thread::spawn_with), and the detector knows who could end the wait: when all of those
//! are stuck, it is a deadlock.
//!
//! ```
//! use impasse::sync::channel;
//! let (sender, receiver) = channel::bounded(1);
//! impasse::thread::spawn(move || sender.send(42));
//! assert_eq!(receiver.recv()?, 42);
//! # Ok::<(), channel::RecvError>(())
//! ```
//!
//! | file | idea |
//! | --- | --- |
//! | `core.rs` | the items, and those who wait on both sides |
//! | `choice.rs` | a wait for whichever of several operations is first |
//! | `ends.rs` | senders and receivers |
//! | `error.rs` | what they return |
//! | `select.rs` | the macro |

mod choice;
mod core;
mod ends;
mod error;
mod select;

pub use crate::select;
pub use choice::Select;
pub use ends::{IntoIter, Iter, Receiver, Sender, TryIter, bounded, channel, unbounded};
pub use error::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
