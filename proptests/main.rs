//! Random tests: the wait-for graph against petgraph, the owner against a reference model, locks on threads.
//!
//! `PROPTEST_CASES=10000 cargo test --test prop` looks longer. What was found once is kept in `regressions/`.
#![cfg(not(loom))]

mod graph;
mod locks;
mod owner;
mod waits;

use proptest::test_runner::{Config, FileFailurePersistence};

/// The environment's settings, with the regressions where they belong.
fn config() -> Config {
    Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/proptests/regressions/found.txt"
        )))),
        ..Config::default()
    }
}
