//! The core under loom: every interleaving and every reordering that C11 allows, of the code that ships.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --test loom`; without the flag this is empty.
//!
//! | file | properties of |
//! | --- | --- |
//! | `locks.rs` | the door and the wait-for graph, on locks: several closers, stale edges, leaving during a look |
//! | `chase.rs` | rings of several kinds, tails, cycles that share a wait, victims that are told by others |
//! | `handing.rs` | whoever can end a wait changes, or is gone, while others look |
//! | `kinds.rs` | waits of different kinds that wait for each other |
//! | `granted.rs` | a wait that is over, or only comes: nobody is refused for it |
//! | `owner.rs` | the mailbox, replies and shutdown |
//! | `parking.rs` | the word by which a task sleeps |
//! | `hatch.rs` | an owner that looks before it parks |
//! | `closing.rs` | room, idleness, and the end of an owner |
//! | `leaving.rs` | a caller that leaves, a run that is cancelled |
//! | `session.rs` | a run on the owner under every policy, a run off the owner, settlement |
//!
//! `ghost.rs` keeps beside the detector what is true, and holds each report against it; `gate.rs` brings the threads of a
//! model to where they begin; `runner.rs` searches and counts.
//!
//! Each property prints its verdict and its number of executions. A twin with teeth is the same model with a bug
//! seeded into the crate, run in a child process, which has to fail the way the property says.
//! Not covered: parking_lot's own lock word and what the system does for threads that sleep (trusted), and systems larger than
//! the models.
#![cfg(loom)]

mod chase;
mod closing;
mod gate;
mod ghost;
mod granted;
mod handing;
mod hatch;
mod kinds;
mod leaving;
mod locks;
mod owner;
mod parking;
mod runner;
mod session;
