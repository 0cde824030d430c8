//! The time, which inside an exploration is virtual.

use std::sync::OnceLock;
use std::time::Instant;

use super::scheduler;

/// This moment. Inside an exploration it passes only when nothing else can happen.
pub(crate) fn now() -> Instant {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    match scheduler::virtual_now() {
        None => Instant::now(),
        Some(passed) => *BEGAN.get_or_init(Instant::now) + passed,
    }
}
