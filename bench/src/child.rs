//! One measurement in a process of its own, with a limit in wall time.
//!
//! The parent starts this program again with the arguments of a hidden subcommand. The child says on its stdout
//! what it knows so far, as one line of JSON, again and again; the last line counts. A process of its own makes
//! peak memory the subject's, and what never ends can be killed.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How a child ended.
pub enum End {
    /// It said what it had to say.
    Done,
    /// It was killed when its time was over.
    Killed,
}

/// Runs this program with `arguments` and gives what it reported last, or the default if it reported nothing.
///
/// # Errors
///
/// The child could not be started, or it failed.
pub fn measure<R>(arguments: &[String], limit: Duration) -> Result<(End, R), Box<dyn Error>>
where
    R: DeserializeOwned + Default + Send + 'static,
{
    measure_by(&env::current_exe()?, arguments, limit)
}

/// The same by another build of this program.
///
/// # Errors
///
/// As [`measure`].
pub fn measure_by<R>(
    program: &Path,
    arguments: &[String],
    limit: Duration,
) -> Result<(End, R), Box<dyn Error>>
where
    R: DeserializeOwned + Default + Send + 'static,
{
    let deadline = Instant::now() + limit;
    let mut command = Command::new(program);
    let mut child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().expect("stdout is piped");
    let (reported, reports) = mpsc::channel();
    let reader = thread::spawn(move || {
        // A subject may print too: whatever is not a report is its own affair.
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        for report in lines.filter_map(|line| serde_json::from_str::<R>(&line).ok()) {
            let _ = reported.send(report);
        }
    });
    let mut last = R::default();
    let end = loop {
        match reports.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(report) => last = report,
            Err(RecvTimeoutError::Disconnected) => break End::Done,
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                break End::Killed;
            }
        }
    };
    let status = child.wait()?;
    reader.join().expect("the reader does not panic");
    match end {
        End::Done if !status.success() => Err(format!("`{}`: {status}", arguments.join(" ")).into()),
        end => Ok((end, last)),
    }
}

/// In the child: tells the parent what is known so far.
///
/// # Errors
///
/// There is no parent any more. The child has to end then, for nobody else would end it.
pub fn report(known: &impl Serialize) -> io::Result<()> {
    let line = serde_json::to_string(known)?;
    writeln!(io::stdout(), "{line}")
}

/// The most memory that this process has had resident, in bytes; `None` where `/proc` does not tell.
pub fn peak_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((kibibytes * 1024) as f64)
}
