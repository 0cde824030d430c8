//! What came of it, as text, JSON and an exit code.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::problem;
use crate::js::{Exception, Script};
use crate::report::{deadlock_json, waiting_json, waits_text};
use crate::{Deadlock, WaitOnOwner, Waiting};

pub(super) const DONE: u8 = 0;
pub(super) const DEADLOCK: u8 = 1;
pub(super) const USAGE: u8 = 2;
pub(super) const INCONCLUSIVE: u8 = 3;
pub(super) const FAILED: u8 = 4;

/// How a script ended.
pub(super) enum Ended {
    Done,
    /// It threw and did not catch.
    Threw(Exception),
    /// It did not end in this time; who waited for whom then.
    TimedOut(Duration, Vec<Waiting>),
}

/// All there is to say of a run.
pub(super) struct Outcome {
    pub(super) script: Script,
    pub(super) policy: WaitOnOwner,
    pub(super) ended: Ended,
    /// What the script printed, line by line.
    pub(super) output: Vec<String>,
    pub(super) deadlocks: Vec<Deadlock>,
    pub(super) seconds: f64,
}

impl Outcome {
    /// A deadlock counts whether or not the script caught it.
    fn verdict(&self) -> (&'static str, u8) {
        match &self.ended {
            _ if !self.deadlocks.is_empty() => ("deadlock", DEADLOCK),
            Ended::TimedOut(..) => ("timeout", INCONCLUSIVE),
            Ended::Threw(_) => ("failed", FAILED),
            Ended::Done => ("done", DONE),
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        self.verdict().1
    }

    /// What a person needs to know, for stderr: nothing if all went well.
    pub(super) fn diagnostics(&self) -> String {
        let mut text = String::new();
        let mut say = |part: &str| writeln!(text, "{part}").expect("a string takes what is written");
        for deadlock in &self.deadlocks {
            say(&deadlock.to_string());
        }
        match &self.ended {
            Ended::Done => {}
            Ended::Threw(exception) => say(&problem::of_script(&self.script, exception)),
            Ended::TimedOut(after, waits) => {
                let (name, after) = (&self.script.name, humantime::format_duration(*after));
                match waits.is_empty() {
                    true => say(&format!(
                        "timeout: {name} has not ended in {after}, and nobody waits: it is busy"
                    )),
                    false => {
                        say(&format!("timeout: {name} has not ended in {after}"));
                        say(&waits_text(waits));
                    }
                }
            }
        }
        text
    }

    /// The whole as one object.
    pub(super) fn json(&self) -> Value {
        let (error, waiting) = match &self.ended {
            Ended::Done => (Value::Null, Vec::new()),
            Ended::Threw(exception) => (problem::json(exception), Vec::new()),
            Ended::TimedOut(_, waits) => (Value::Null, waits.iter().map(waiting_json).collect()),
        };
        json!({
            "schema": "impasse.run/1",
            "script": self.script.name,
            "wait_on_owner": self.policy.name(),
            "verdict": self.verdict().0,
            "output": self.output,
            "deadlocks": self.deadlocks.iter().map(deadlock_json).collect::<Vec<_>>(),
            "waiting": waiting,
            "error": error,
            "seconds": self.seconds,
        })
    }
}
