// rustdoc gets no RUSTFLAGS: under `--cfg loom` there is nothing that its doctests could link.
#![cfg(not(all(loom, doctest)))]
//! Owner loops that cannot deadlock: a runtime and an exact detector, built on one idea.
//!
//! An *owner* is one thread that owns a state which need not be `Send`, and runs jobs on it one at a time. A
//! [`Handle`] calls and posts from anywhere. A [`Session`] starts background work that may call back. Every
//! blocking operation goes through one door, which publishes it as an edge of the wait-for graph before
//! anything is handed over; the wait that would complete a cycle returns a [`Deadlock`] instead of beginning.
//!
//! ```
//! use impasse::{Owner, RunError, Session, WaitOnOwner};
//!
//! let owner = Owner::builder("vm").wait_on_owner(WaitOnOwner::Detect).spawn(|| vec![20, 22])?;
//! let vm = owner.handle();
//! let session = Session::builder("inference", &vm)
//!     .engine(|run, ()| run.call("sum", |numbers| numbers.iter().sum::<i32>()));
//!
//! // Off the owner a run is an ordinary wait.
//! assert_eq!(session.run(())?, 42);
//!
//! // On the owner the run's callback would be queued behind the job that waits for it.
//! let result = vm.call("eval", move |_| session.run(()))?;
//! let Err(RunError::Deadlock(deadlock)) = result else { panic!("a cycle was missed") };
//! assert_eq!(deadlock.hops()[0].task, "owner `vm`");
//! assert_eq!(deadlock.hops()[1].waits_for, "a job on owner `vm`");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What a wait on the owner thread does is the owner's policy: [`WaitOnOwner`]. What is proved of all this, and
//! what is not detected, is in `docs/GUARANTEES.md`.
//!
//! # Features
//!
//! - `tracing`: spans for jobs, events for stalls and for jobs that do not run, for the program's own subscriber.
//! - `explore`: every interleaving of a test, exhaustively: [`explore`](mod@explore).
//! - `js`: a QuickJS virtual machine as the state of an owner, with a module for scripts (`impasse::js`).
//! - `cli`: the `impasse` command.

#[cfg(all(feature = "cli", not(loom)))]
#[doc(hidden)]
pub mod cli;
#[cfg(all(feature = "explore", not(loom)))]
pub mod explore;
#[cfg(all(feature = "js", not(loom)))]
pub mod js;
mod owner;
mod platform;
#[cfg(all(feature = "cli", not(loom)))]
mod report;
mod session;
pub mod sync;
pub mod wait;

#[cfg(all(feature = "explore", not(loom)))]
pub use explore::{Explorer, explore};
pub use owner::{
    AfterPanic, Answer, Builder as OwnerBuilder, CallError, Closed, GoOn, Handle, Owner, OwnerLoop, Panicked,
    PostError, Resilience, Shutdown, ShutdownError, SpawnError, Stall, UnknownPolicy, Unrun, WaitOnOwner,
};
pub use session::{Builder as SessionBuilder, Canceller, Outcome, Run, RunError, RunHandle, Session};
pub use sync::{thread, time};
pub use wait::{
    Cancelled, Deadlock, Following, Hop, IntoOp, Lineage, Op, Site, WaitError, Waiting, current_op,
    on_deadlock, waiting_tasks,
};

/// What a model needs besides.
#[cfg(loom)]
#[doc(hidden)]
pub mod checking {
    /// Waits for the threads of an execution that nobody waits for: its statics end with it.
    pub fn join_detached() {
        crate::platform::join_detached();
    }

    /// Makes the calling thread a task of this name for as long as `body` runs. loom's threads all run on one thread, so
    /// that without it they have all one name.
    pub fn as_task<R>(name: &str, body: impl FnOnce() -> R) -> R {
        crate::wait::Task::new("thread", 0, name.into()).run(|_| body())
    }

    /// What the calling task is called.
    pub fn task_name() -> String {
        crate::wait::name(crate::wait::current_id())
    }

    /// The word that a native task sleeps by. (The tasks of a model wait for a channel: fewer executions.)
    #[derive(Debug, Default)]
    pub struct Bed(crate::platform::Bed);

    impl Bed {
        /// Sleeps until there is a token, and takes it.
        pub fn park(&self) {
            self.0.park();
        }

        /// Takes the token, or gives up; says whether it was there.
        pub fn park_briefly(&self) -> bool {
            self.0.park_briefly()
        }

        /// Leaves a token.
        pub fn unpark(&self) {
            self.0.unpark();
        }
    }

    /// Has the owners of the models on this thread look before they park, or not.
    pub fn let_owners_look(look: bool) {
        crate::platform::let_owners_look(look);
    }
}

/// The README's program is compiled and run with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are those of the page for whoever comes from other locks.
#[cfg(doctest)]
#[doc = include_str!("../docs/MIGRATING.md")]
struct Migrating;
