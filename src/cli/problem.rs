//! Errors that point at the place.

use std::io::IsTerminal as _;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::{Value, json};

use crate::js::{Exception, Script};

/// What a script threw: a syntax error with the line it is in, anything else with its stack.
pub(super) fn of_script(script: &Script, exception: &Exception) -> String {
    match offset(script, exception) {
        Some(offset) if exception.name == "SyntaxError" => underlined(script, exception, offset),
        _ => {
            let frames = exception.stack.iter().map(|frame| format!("\n    {frame}"));
            format!("error: {} threw {exception}{}", script.name, frames.collect::<String>())
        }
    }
}

/// The exception as JSON: `{name, message, at, stack}`.
pub(super) fn json(exception: &Exception) -> Value {
    json!({
        "name": exception.name,
        "message": exception.message,
        "at": exception.site.map(|site| format!("{site:#}")),
        "stack": exception.stack,
    })
}

/// Where in the script's text the exception says it is from, in bytes.
fn offset(script: &Script, exception: &Exception) -> Option<usize> {
    let site = exception.site.filter(|site| site.file == script.name)?;
    let mut lines = script.source.split_inclusive('\n');
    let before: usize = lines.by_ref().take(site.line.checked_sub(1)? as usize).map(str::len).sum();
    let line = lines.next().unwrap_or("");
    let column = site.column.saturating_sub(1) as usize;
    let within = line.char_indices().nth(column).map_or(line.trim_end().len(), |(at, _)| at);
    Some(before + within)
}

fn underlined(script: &Script, exception: &Exception, offset: usize) -> String {
    let title = exception.to_string();
    let end = script.source[offset..].chars().next().map_or(offset, |char| offset + char.len_utf8());
    let snippet = Snippet::source(&*script.source).path(&*script.name);
    let report = [Level::ERROR
        .primary_title(&*title)
        .element(snippet.annotation(AnnotationKind::Primary.span(offset..end)))];
    let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&report)
}
