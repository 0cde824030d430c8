//! What can be asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Parser, Subcommand, ValueEnum};

use crate::WaitOnOwner;

/// Finds the deadlocks of programs that give a single-threaded thing an owner thread.
#[derive(Parser)]
#[command(name = "impasse", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 a deadlock was found; 2 usage; 3 inconclusive (timeout); 4 the script failed.";

#[derive(Subcommand)]
pub(super) enum Command {
    /// Run a script on a real VM with real threads
    Run(Run),
    /// Explore every interleaving of the protocol that deadlocks, under every policy
    Prove(Prove),
}

#[derive(clap::Args)]
#[command(after_help = "Exit codes: 0 every verdict is the expected one; 1 one is not; 2 usage.")]
pub(super) struct Prove {
    /// Up to this many sessions
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(super) sessions: u8,

    /// Up to this many callbacks in each
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(super) callbacks: u8,

    /// How many threads explore
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub(super) workers: u8,

    /// What stdout gets: a table, or one JSON object
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,

    /// Write it to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

#[derive(clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Run {
    /// The script; it may `require("geppetto")`
    pub(super) script: PathBuf,

    /// What a wait on the VM's own thread does: block (the bug itself), detect (the wait that would close a
    /// cycle fails), reject (it is refused before anything starts), serve (callbacks run meanwhile)
    #[arg(long, value_name = "POLICY", default_value = WaitOnOwner::default().name(), value_parser = policy())]
    pub(super) wait_on_owner: WaitOnOwner,

    /// Give up after this long, such as 2s or 500ms, and show who waits for whom
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(super) timeout: Option<Duration>,

    /// What stdout gets: the script's own output, or one JSON object
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(super) format: Format,

    /// Write it to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

fn policy() -> impl clap::builder::TypedValueParser<Value = WaitOnOwner> {
    let names = PossibleValuesParser::new(WaitOnOwner::ALL.map(WaitOnOwner::name));
    names.map(|name| name.parse::<WaitOnOwner>().expect("the parser lets policies through only"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        super::Args::command().debug_assert();
    }
}
