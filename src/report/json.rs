//! Deadlocks and waits as JSON.

use serde_json::{Value, json};

use crate::{Deadlock, Op, Waiting};

/// As [`Deadlock::to_json`] writes it.
pub(crate) fn deadlock_json(deadlock: &Deadlock) -> Value {
    serde_json::from_str(&deadlock.to_json()).expect("it is JSON")
}

/// `{task, waits_for, held_by, op, at, during}`
pub(crate) fn waiting_json(waiting: &Waiting) -> Value {
    json!({
        "task": waiting.task,
        "waits_for": waiting.waits_for,
        "held_by": waiting.held_by,
        "op": waiting.op.label,
        "at": at(waiting.op),
        "during": waiting.during.map(|op| op.label),
    })
}

/// `file:line`
fn at(op: Op) -> String {
    op.site().to_string()
}
