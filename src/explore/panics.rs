//! Panics inside explorations: told to the execution, not to standard error.

use std::any::Any;
use std::panic::{self, PanicHookInfo};
use std::sync::Once;

use super::execution::running;

/// What a task panicked with, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Panic {
    pub(super) message: String,
    pub(super) place: String,
}

/// Puts our hook before the one that is there: once per process, and it stays.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let outside = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if running(|execution| execution.panicked(|| describe(info))) != Some(true) {
                outside(info);
            }
        }));
    });
}

impl Panic {
    /// One that began without the hook.
    pub(super) fn silent(payload: &(dyn Any + Send)) -> Self {
        Self { message: message(payload), place: "a place that is not known".into() }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".into())
}

fn describe(info: &PanicHookInfo<'_>) -> Panic {
    Panic {
        message: message(info.payload()),
        place: info.location().map(ToString::to_string).unwrap_or_default(),
    }
}
