//! Who waits for whom, a line for each task.

use std::fmt::Write as _;

use crate::Waiting;

/// The live wait-for graph, in aligned columns, indented by two.
pub(crate) fn waits_text(waits: &[Waiting]) -> String {
    let says = |wait: &Waiting| {
        let held_by = wait.held_by.as_deref().map(|held_by| format!(", held by {held_by}"));
        format!("{} waits for {}{}", wait.task, wait.waits_for, held_by.unwrap_or_default())
    };
    let wide = waits.iter().map(|wait| says(wait).chars().count()).max().unwrap_or(0);
    let label = waits.iter().map(|wait| wait.op.label.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for wait in waits {
        let (op, site) = (wait.op.label, wait.op.site);
        writeln!(text, "  {:wide$}   {op:label$}  {site}", says(wait))
            .expect("a string takes what is written");
    }
    text
}
