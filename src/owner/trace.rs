//! What goes to `tracing`, with the feature of that name.

use std::time::Duration;

#[cfg(feature = "tracing")]
use std::time::Instant;

use crate::wait::{Lineage, Op};

/// When a job was queued, if somebody listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct QueuedAt(#[cfg(feature = "tracing")] Option<Instant>);

impl QueuedAt {
    #[inline]
    pub(super) fn now() -> Self {
        Self(
            #[cfg(feature = "tracing")]
            tracing::enabled!(target: "impasse", tracing::Level::DEBUG).then(Instant::now),
        )
    }

    /// How long it was in the queue.
    #[cfg(feature = "tracing")]
    fn waited(self) -> Duration {
        self.0.map(|queued| queued.elapsed()).unwrap_or_default()
    }
}

/// A job runs, inside a span of its own, until this is dropped.
pub(super) struct Running(#[cfg(feature = "tracing")] Option<(tracing::span::EnteredSpan, Instant)>);

/// A job begins.
#[inline]
pub(super) fn begins(owner: &str, op: Op, lineage: Option<&Lineage>, queued_at: QueuedAt) -> Running {
    #[cfg(feature = "tracing")]
    {
        let nobodys = Lineage::default();
        let span = tracing::debug_span!(
            target: "impasse",
            "job",
            owner,
            op = op.label,
            at = %op.site(),
            lineage = ?lineage.unwrap_or(&nobodys),
            queued_us = queued_at.waited().as_micros() as u64,
            run_us = tracing::field::Empty,
        );
        Running((!span.is_disabled()).then(|| (span.entered(), Instant::now())))
    }
    #[cfg(not(feature = "tracing"))]
    {
        let _ = (owner, op, lineage, queued_at);
        Running()
    }
}

#[cfg(feature = "tracing")]
impl Drop for Running {
    fn drop(&mut self) {
        if let Some((span, began)) = &self.0 {
            span.record("run_us", began.elapsed().as_micros() as u64);
        }
    }
}

/// An owner has been in one job for too long.
pub(super) fn stalled(owner: &str, op: Op, since: Duration, queued: usize) {
    #[cfg(feature = "tracing")]
    tracing::warn!(
        target: "impasse",
        owner,
        op = op.label,
        at = %op.site(),
        since_ms = since.as_millis() as u64,
        queued,
        "the owner is in one job while others are queued"
    );
    #[cfg(not(feature = "tracing"))]
    let _ = (owner, op, since, queued);
}

/// A job that was accepted will not run.
pub(super) fn unrun(owner: &str, op: Op, why: &dyn std::fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "impasse", owner, op = op.label, at = %op.site(), %why, "an accepted job does not run");
    #[cfg(not(feature = "tracing"))]
    let _ = (owner, op, why);
}
