//! What the detector must find, and where it must stay silent: on real threads, each 300 times with all tasks closing the
//! cycle at once, and in every interleaving.
//!
//! `cargo test --test detection -- --nocapture must_detect` prints the table, with the time from the last step before
//! the deadlock to the report.
#![cfg(not(loom))]

#[path = "../common/mod.rs"]
mod common;
mod deadlocks;
mod reports;
mod scene;
mod silent;
