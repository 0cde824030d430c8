//! Who waits for whom, a line for each task.

use crate::Waiting;
use crate::wait::op::in_columns;

/// The live wait-for graph, in aligned columns, indented by two.
pub(crate) fn waits_text(waits: &[Waiting]) -> String {
    let says = |wait: &Waiting| {
        let held_by = wait.held_by.as_deref().map(|held_by| format!(", held by {held_by}"));
        (format!("{} waits for {}{}", wait.task, wait.waits_for, held_by.unwrap_or_default()), wait.op)
    };
    let waits: Vec<_> = waits.iter().map(says).collect();
    in_columns(&waits).collect::<Vec<_>>().join("\n")
}
