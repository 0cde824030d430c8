//! The `impasse` command.
//!
//! | file | idea |
//! | --- | --- |
//! | `args.rs` | what can be asked for |
//! | `run.rs` | `impasse run`: a script on a real VM with real threads |
//! | `prove.rs` | `impasse prove`: every interleaving of the protocol, under every policy |
//! | `protocol.rs` | that protocol |
//! | `outcome.rs` | what came of it, as text, JSON and an exit code |
//! | `problem.rs` | errors that point at the place |

mod args;
mod outcome;
mod problem;
mod protocol;
mod prove;
mod run;

use std::process::ExitCode;

use clap::Parser as _;

/// Runs the command with this process's arguments and returns its exit code: 0 done, 1 deadlock found, 2 usage,
/// 3 inconclusive, 4 the script failed.
pub fn main() -> ExitCode {
    let done = match args::Args::parse().command {
        args::Command::Run(asked) => run::run(&asked),
        args::Command::Prove(asked) => prove::prove(&asked),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(usage) => {
            eprintln!("error: {usage}");
            ExitCode::from(outcome::USAGE)
        }
    }
}
