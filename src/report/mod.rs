//! What was found, for people and for programs: data in, text out.

mod json;
mod waits;

pub(crate) use json::{deadlock_json, waiting_json};
pub(crate) use waits::waits_text;
