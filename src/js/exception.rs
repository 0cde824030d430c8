//! Exceptions out of the VM and errors into it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rquickjs::{CaughtError, Ctx, Exception as JsException, Value};

use super::site;
use crate::{CallError, Deadlock, Panicked, RunError, Site};

/// What a script threw, as another thread can hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exception {
    /// The class of the error, such as `TypeError`; empty for a thrown value that is no error.
    pub name: String,
    /// Its message.
    pub message: String,
    /// A line for each frame, innermost first, without the frames of the host.
    pub stack: Vec<String>,
    /// Where it was thrown, if it says so.
    pub site: Option<Site>,
}

impl Exception {
    /// The exception that an operation of the VM ended in. Takes it from the VM.
    pub(super) fn caught(ctx: &Ctx<'_>, error: rquickjs::Error) -> Self {
        match CaughtError::from_error(ctx, error) {
            CaughtError::Exception(exception) => Self::of_error(&exception),
            CaughtError::Value(value) => Self::of_value(&value),
            CaughtError::Error(error) => Self::plain("", error.to_string()),
        }
    }

    /// The exception for a value that was thrown or that a promise was rejected with.
    pub(super) fn of_value(value: &Value<'_>) -> Self {
        match value.as_exception() {
            Some(exception) => Self::of_error(exception),
            None => Self::plain("", shown(value)),
        }
    }

    fn of_error(exception: &JsException<'_>) -> Self {
        let name = exception.as_object().get::<_, String>("name").unwrap_or_default();
        let stack = exception.stack().unwrap_or_default();
        let ours = |frame: &&str| !frame.contains(site::MODULE) && !frame.contains("(native)");
        Self {
            site: site::of_stack(&stack),
            stack: stack.lines().map(str::trim).filter(ours).map(str::to_owned).collect(),
            ..Self::plain(&name, exception.message().unwrap_or_default())
        }
    }

    fn plain(name: &str, message: String) -> Self {
        Self { name: name.to_owned(), message, stack: Vec::new(), site: None }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.name {
            "" => f.write_str(&self.message),
            name => write!(f, "{name}: {}", self.message),
        }
    }
}

impl std::error::Error for Exception {}

/// A thrown value that is no error, as text.
fn shown(value: &Value<'_>) -> String {
    let json = value.ctx().json_stringify(value.clone()).ok().flatten();
    json.and_then(|text| text.to_string().ok()).unwrap_or_else(|| value.type_name().to_owned())
}

/// A new `Error`, under a name of its own if it has one.
fn new<'js>(ctx: &Ctx<'js>, name: &str, message: &str) -> rquickjs::Result<JsException<'js>> {
    let error = JsException::from_message(ctx.clone(), message)?;
    if !name.is_empty() {
        error.as_object().set("name", name)?;
    }
    Ok(error)
}

/// Throws such an error.
fn throw(ctx: &Ctx<'_>, name: &str, message: &str) -> rquickjs::Error {
    new(ctx, name, message).map_or_else(|error| error, JsException::throw)
}

/// The name and the message under which a script sees that a run has failed.
fn name_and_message(error: &RunError) -> (String, String) {
    match error {
        RunError::WaitOnOwner { .. } => (
            "WaitOnOwnerError".into(),
            "session.run() would block this VM, which its callbacks need: use session.start() or \
             session.runAsync(), or let the VM serve while it waits (--wait-on-owner serve)"
                .into(),
        ),
        RunError::Deadlock(deadlock) => ("DeadlockError".into(), in_one_line(deadlock)),
        RunError::Failed(source) => match source.downcast_ref::<Exception>() {
            Some(exception) => (exception.name.clone(), exception.message.clone()),
            None => match source.downcast_ref::<CallError>() {
                Some(CallError::Panicked(panicked)) => ("InternalError".into(), panicked.to_string()),
                _ => (String::new(), source.to_string()),
            },
        },
        other => (String::new(), other.to_string()),
    }
}

/// The cycle as a sentence; the drawing goes to whoever observes deadlocks.
fn in_one_line(deadlock: &Deadlock) -> String {
    let hops = deadlock.hops().iter().map(|hop| format!("{} waits for {}", hop.task, hop.waits_for));
    format!("deadlock: {}", hops.collect::<Vec<_>>().join(", and "))
}

/// What a failed run is to a script, as an `Error`.
pub(super) fn run_error<'js>(ctx: &Ctx<'js>, error: &RunError) -> rquickjs::Result<JsException<'js>> {
    let (name, message) = name_and_message(error);
    new(ctx, &name, &message)
}

/// Throws what a failed run is to a script.
pub(super) fn throw_run_error(ctx: &Ctx<'_>, error: &RunError) -> rquickjs::Error {
    run_error(ctx, error).map_or_else(|error| error, JsException::throw)
}

/// Runs a native function. A panic in it becomes an exception here: unwinding through the frames of the VM, it
/// would be swallowed by a `catch` of the script and come back at the next exception of any kind.
pub(super) fn guarded<R>(ctx: &Ctx<'_>, body: impl FnOnce() -> rquickjs::Result<R>) -> rquickjs::Result<R> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let message = Panicked::message_of(&*panic);
        Err(throw(ctx, "InternalError", &format!("the host panicked: {message}")))
    })
}
