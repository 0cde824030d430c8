//! Deadlocks and waits as JSON.

use serde_json::{Value, json};

use crate::{Deadlock, Hop, Op, Waiting};

/// `{hops: [{task, waits_for, held_by, op, at, remark}]}`
pub(crate) fn deadlock_json(deadlock: &Deadlock) -> Value {
    let hop = |hop: &Hop| {
        json!({
            "task": hop.task,
            "waits_for": hop.waits_for,
            "held_by": hop.held_by,
            "op": hop.op.label,
            "at": at(hop.op),
            "remark": hop.remark,
        })
    };
    json!({ "hops": deadlock.hops().iter().map(hop).collect::<Vec<_>>() })
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
