//! Sessions: the means to start background work that may call back to an owner.
//!
//! | file | idea |
//! | --- | --- |
//! | `session.rs` | the engine, and what starts a run of it |
//! | `run.rs` | a run as its engine sees it, and as its starter sees it |
//! | `error.rs` | why a run has no result |

mod error;
mod run;
#[expect(clippy::module_inception, reason = "the room is named after its main idea")]
mod session;

pub use error::RunError;
pub use run::{Canceller, Outcome, Run, RunHandle};
pub use session::{Builder, Session};
