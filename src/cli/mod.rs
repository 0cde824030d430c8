//! The `impasse` command.
//!
//! | file | idea |
//! | --- | --- |
//! | `args.rs` | what can be asked for |
//! | `run.rs` | `impasse run`: a script on a real VM with real threads |
//! | `outcome.rs` | what came of it, as text, JSON and an exit code |
//! | `problem.rs` | errors that point at the place |

mod args;
mod outcome;
mod problem;
mod run;

use std::process::ExitCode;

use clap::Parser as _;

/// Runs the command with this process's arguments and returns its exit code: 0 done, 1 deadlock found, 2 usage,
/// 3 inconclusive, 4 the script failed.
pub fn main() -> ExitCode {
    let args::Command::Run(asked) = args::Args::parse().command;
    match run::run(&asked) {
        Ok(code) => ExitCode::from(code),
        Err(usage) => {
            eprintln!("error: {usage}");
            ExitCode::from(outcome::USAGE)
        }
    }
}
