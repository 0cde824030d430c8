//! `impasse run`: a script on a real VM with real threads.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::args::{Format, Run};
use super::outcome::{Ended, Outcome};
use crate::js::{self, Script};
use crate::{Deadlock, Shutdown, on_deadlock, waiting_tasks};

/// Runs the script and reports. Returns the exit code.
///
/// # Errors
///
/// What is wrong with the arguments, as text.
pub(super) fn run(asked: &Run) -> Result<u8, String> {
    let script = read(&asked.script)?;
    let data = Shared::new(open(asked.output.as_deref())?);
    let (deadlocks, output) = (Shared::new(Vec::<Deadlock>::new()), Shared::new(Vec::<String>::new()));
    let found = deadlocks.clone();
    on_deadlock(move |deadlock| found.with(|found| found.push(deadlock.clone())));
    let console = console(asked.format, &data, &output);

    let start = Instant::now();
    let ended = execute(asked, script.clone(), console)?;
    let outcome = Outcome {
        script,
        policy: asked.wait_on_owner,
        ended,
        output: output.with(std::mem::take),
        deadlocks: deadlocks.with(std::mem::take),
        seconds: start.elapsed().as_secs_f64(),
    };
    eprint!("{}", outcome.diagnostics());
    let written = data.with(|data| {
        if asked.format == Format::Json {
            writeln!(data, "{}", outcome.json())?;
        }
        data.flush()
    });
    written.map_err(|error| format!("the output cannot be written: {error}"))?;
    Ok(outcome.exit_code())
}

/// The script, or what is wrong with its file.
fn read(path: &Path) -> Result<Script, String> {
    let cannot = |why: &dyn std::fmt::Display| format!("cannot read {}: {why}", path.display());
    let bytes = std::fs::read(path).map_err(|error| cannot(&error))?;
    let source = String::from_utf8(bytes).map_err(|error| cannot(&error.utf8_error()))?;
    Ok(Script { name: path.display().to_string(), source })
}

/// Where data goes.
pub(super) fn open(path: Option<&Path>) -> Result<Box<dyn Write + Send>, String> {
    let Some(path) = path else { return Ok(Box::new(io::stdout())) };
    match File::create(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(format!("cannot write {}: {error}", path.display())),
    }
}

/// Keeps what the script prints, and shows it at once if the data is text.
fn console(
    format: Format,
    data: &Shared<Box<dyn Write + Send>>,
    output: &Shared<Vec<String>>,
) -> js::Console {
    let (data, output) = (data.clone(), output.clone());
    Arc::new(move |line| {
        output.with(|output| output.push(line.to_owned()));
        if format == Format::Text {
            // A reader that went away (`| head`) is found out again at the end.
            let _ = data.with(|data| writeln!(data, "{line}"));
        }
    })
}

/// Runs the script to its end or to the timeout.
fn execute(asked: &Run, script: Script, console: js::Console) -> Result<Ended, String> {
    let owner = js::spawn_vm(asked.wait_on_owner, console).map_err(|error| error.to_string())?;
    let (done, ended) = mpsc::channel();
    let started = script.start(&owner.handle(), move |result| {
        // Nobody listens after a timeout.
        let _ = done.send(result);
    });
    started.map_err(|error| error.to_string())?;
    let ended = match asked.timeout {
        None => ended.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(timeout) => ended.recv_timeout(timeout),
    };
    let ended = match ended {
        Ok(Ok(())) => {
            owner.shutdown(Shutdown::Drain).map_err(|error| error.to_string())?;
            return Ok(Ended::Done);
        }
        Ok(Err(exception)) => Ended::Threw(exception),
        Err(RecvTimeoutError::Timeout) => Ended::TimedOut(asked.timeout.unwrap_or_default(), waiting_tasks()),
        Err(RecvTimeoutError::Disconnected) => return Err("the VM ended before the script did".into()),
    };
    // Whatever is still going on ends with the process; waiting for it here might take for ever.
    std::mem::forget(owner);
    Ok(ended)
}

/// A value that the owner's thread and this one both use, each for a moment.
struct Shared<T>(Arc<Mutex<T>>);

impl<T> Shared<T> {
    fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        body(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
