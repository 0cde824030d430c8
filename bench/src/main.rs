//! Measures this crate and its peers side by side: `cargo run --release -p impasse-bench -- explore`.
//!
//! | file | idea |
//! | --- | --- |
//! | `names.rs` | cases and subjects by their names on the command line |
//! | `rows.rs` | what a bench found, as rows, and as JSON |
//! | `table.rs` | the same as a table, with each peer's ratio to ours |
//! | `child.rs` | one measurement in a process of its own, with a limit in wall time |
//! | `cpu.rs` | holds a thread on one processor |
//! | `heap.rs` | counts the bytes of the heap |
//! | `explore/` | the owner protocol under every interleaving, in our explorer and in other model checkers |
//! | `owners/` | our owner and those built from the peers |
//! | `roundtrip/` | how long a call to an owner takes |
//! | `compare/` | what each tool says of what is a deadlock, and of what only looks like one |
//! | `locks/` | what a lock costs, and how soon a deadlock is told |
//! | `detector/` | what the detector costs, and how long it takes to find a deadlock |
//! | `posts/` | how many posts an owner takes in, and what they and the owner weigh |

mod child;
mod compare;
mod cpu;
mod detector;
mod explore;
mod heap;
mod locks;
mod names;
mod owners;
mod posts;
mod roundtrip;
mod rows;
mod table;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use rows::Results;

#[global_allocator]
static HEAP: heap::Counted = heap::Counted;

/// Measures this crate and its peers side by side, in one run.
#[derive(Parser)]
#[command(name = "impasse-bench", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// The owner protocol under every interleaving: how many executions, how long, how much memory
    Explore {
        #[command(flatten)]
        asked: explore::Asked,
        #[command(flatten)]
        output: Output,
    },
    /// A call to an owner and the way back: how long, wherever the two threads stand
    Roundtrip {
        #[command(flatten)]
        asked: roundtrip::Asked,
        #[command(flatten)]
        output: Output,
    },
    /// Posts to an owner: how many a second, and how much memory, queued and idle
    Posts {
        #[command(flatten)]
        asked: posts::Asked,
        #[command(flatten)]
        output: Output,
    },
    /// Locks: what they cost, alone and contended, and how soon a deadlock is told
    Locks {
        #[command(flatten)]
        asked: locks::Asked,
        #[command(flatten)]
        output: Output,
    },
    /// The detector: what it costs a call, how long it takes by the size of a deadlock, and what it keeps
    Detector {
        #[command(flatten)]
        asked: detector::Asked,
        #[command(flatten)]
        output: Output,
    },
    /// What each tool says of a deadlock, and of what only looks like one
    Compare {
        #[command(flatten)]
        asked: compare::Asked,
        #[command(flatten)]
        output: Output,
    },
    /// One measurement, in the process that is to make it and nothing else
    #[command(hide = true, subcommand)]
    One(One),
}

#[derive(Subcommand)]
enum One {
    Explore(explore::Trial),
    Roundtrip(roundtrip::Trial),
    Posts(posts::Trial),
    Locks(locks::Trial),
    Detector(detector::Trial),
    Compare(compare::Trial),
}

#[derive(Args)]
struct Output {
    /// A table to read, or one JSON object
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Write it to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().bench {
        Bench::Explore { asked, output } => output.write(&explore::all(&asked)),
        Bench::Roundtrip { asked, output } => output.write(&roundtrip::all(&asked)),
        Bench::Posts { asked, output } => output.write(&posts::all(&asked)),
        Bench::One(One::Explore(trial)) => explore::one(trial),
        Bench::One(One::Roundtrip(trial)) => roundtrip::one(&trial),
        Bench::Locks { asked, output } => output.write(&locks::all(&asked)),
        Bench::Compare { asked, output } => {
            let results = compare::all(&asked);
            output.write_as(&results, compare::render)
        }
        Bench::Detector { asked, output } => detector::all(&asked).and_then(|results| output.write(&results)),
        Bench::One(One::Detector(trial)) => detector::one(&trial),
        Bench::One(One::Compare(trial)) => compare::one(&trial),
        Bench::One(One::Locks(trial)) => locks::one(&trial),
        Bench::One(One::Posts(trial)) => posts::one(&trial),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Output {
    fn write(&self, results: &Results) -> Result<(), Box<dyn Error>> {
        self.write_as(results, table::render)
    }

    fn write_as(&self, results: &Results, render: fn(&Results) -> String) -> Result<(), Box<dyn Error>> {
        let text = match self.format {
            Format::Text => render(results),
            Format::Json => serde_json::to_string_pretty(results)?,
        };
        match &self.output {
            Some(file) => fs::write(file, text + "\n")?,
            None => println!("{text}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
