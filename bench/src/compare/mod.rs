//! What each tool says of what is a deadlock, and of what only looks like one.
//!
//! | file | idea |
//! | --- | --- |
//! | `peers.rs` | the scenes with the locks of each peer; threads and channels are std's, since they have none |
//! | `ours.rs` | the same scenes with ours |
//!
//! Each scene of each tool is played in a process of its own. Told: the tool said something, by a panic, a callback or when
//! it was asked. Hangs: nothing was said, and the scene did not end.

mod ours;
mod peers;

use std::collections::BTreeMap;
use std::error::Error;
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use clap::Args;
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use indicatif::ProgressBar;

use crate::child;
use crate::names::by_name;
use crate::rows::{Metrics, Results};

/// How long a scene may take until it counts as one that hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// A name, whether it is a deadlock, and what plays it with some tool's locks.
type Scene = (&'static str, bool, fn());

/// The scenes, in the order of the table, and whether each is a deadlock.
const SCENES: &[(&str, bool)] = &[
    ("two locks, crossed", true),
    ("a ring of three locks", true),
    ("a lock taken twice", true),
    ("a read that becomes a write", true),
    ("read, a queued writer, read again", true),
    ("a join with what the thread wants", true),
    ("a lock taken back after a condition", true),
    ("a lock and a channel", true),
    ("two channels, hand to hand", true),
    ("a promise whose holder waits for the waiter", true),
    ("a value that needs itself", true),
    ("a pool that waits for itself (S8)", true),
    ("a job that waits for a later one (S1)", true),
    ("a run that calls the waiting owner (S2)", true),
    ("two owners that call each other (S3)", true),
    ("no room in one's own queue (S4)", true),
    ("a lock and a call (S5)", true),
    ("an inversion under a gate lock", false),
    ("an inversion ordered by a join", false),
    ("two reads, crossed", false),
    ("an inversion that does not come to be one", false),
];

/// The tools, ours first.
const SUBJECTS: [&str; 6] =
    ["impasse", "parking_lot-deadlock_detection", "deloxide", "tracing-mutex", "no_deadlocks", "std"];

#[derive(Clone, Debug)]
pub struct Subject(&'static str);

impl FromStr for Subject {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        by_name(SUBJECTS, ToString::to_string, name).map(Self)
    }
}

#[derive(Args)]
pub struct Asked {
    /// Only this tool, such as deloxide; can be given several times
    #[arg(long = "subject", value_name = "NAME")]
    subjects: Vec<Subject>,
}

/// One scene of one tool.
#[derive(Args)]
pub struct Trial {
    scene: String,
    subject: Subject,
}

/// Plays every scene with every tool.
pub fn all(asked: &Asked) -> Results {
    let subjects = match &*asked.subjects {
        [] => SUBJECTS.to_vec(),
        some => some.iter().map(|subject| subject.0).collect(),
    };
    let mut results = Results::of("compare");
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(500));
    for (scene, _) in SCENES {
        for subject in &subjects {
            spinner.set_message(format!("{scene}: {subject}"));
            let arguments = ["one", "compare", scene, subject].map(str::to_owned);
            match child::measure::<Metrics>(&arguments, PATIENCE * 4) {
                Ok((_, metrics)) => results.add(scene, subject, &[metrics]),
                Err(error) => eprintln!("error: {error}"),
            }
        }
    }
    spinner.finish_and_clear();
    results
}

/// In words: a row for each scene, a column for each tool.
pub fn render(results: &Results) -> String {
    let mut cells: BTreeMap<(&str, &str), BTreeMap<&str, f64>> = BTreeMap::new();
    for row in &results.rows {
        cells.entry((&row.case, &row.subject)).or_default().insert(&row.metric, row.value);
    }
    let subjects: Vec<_> = SUBJECTS
        .into_iter()
        .filter(|subject| results.rows.iter().any(|row| row.subject == *subject))
        .collect();
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN);
    table.set_header(["scene", "is"].into_iter().chain(subjects.iter().copied()));
    for (scene, is_deadlock) in SCENES {
        let is = if *is_deadlock { "a deadlock" } else { "none" };
        let words = subjects.iter().map(|subject| match cells.get(&(*scene, *subject)) {
            None => "",
            Some(cell) => match (cell.get("told"), cell.get("finished"), is_deadlock) {
                (Some(1.0), _, true) => "**told**",
                (Some(1.0), _, false) => "told, and there is none",
                (_, Some(1.0), false) => "**silent**",
                (_, Some(1.0), true) => "not played",
                _ => "hangs",
            },
        });
        table.add_row([*scene, is].into_iter().chain(words));
    }
    table.to_string()
}

/// Plays a scene in this process, which the parent has started for it.
pub fn one(trial: &Trial) -> Result<(), Box<dyn Error>> {
    let scenes = match trial.subject.0 {
        "impasse" => ours::SCENES,
        peer => peers::scenes(peer),
    };
    let (_, _, play) =
        scenes.iter().find(|(name, ..)| *name == trial.scene).ok_or("there is no such scene")?;
    let play = *play;
    let (tell, told) = mpsc::channel::<bool>();
    listen(trial.subject.0, tell.clone());
    let done = tell;
    thread::spawn(move || {
        play();
        // What a tool has to say it says before that.
        thread::sleep(Duration::from_millis(300));
        let _ = done.send(false);
    });
    let outcome = match told.recv_timeout(PATIENCE) {
        Ok(true) => [("told", 1.0), ("finished", 0.0)],
        Ok(false) => [("told", 0.0), ("finished", 1.0)],
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => [("told", 0.0), ("finished", 0.0)],
    };
    child::report(
        &outcome.map(|(metric, value)| (metric.to_owned(), value)).into_iter().collect::<Metrics>(),
    )?;
    std::process::exit(0);
}

/// Sends `true` when the tool says something.
fn listen(subject: &str, told: mpsc::Sender<bool>) {
    let by_panic = told.clone();
    std::panic::set_hook(Box::new(move |_| {
        let _ = by_panic.send(true);
    }));
    match subject {
        "impasse" => impasse::on_deadlock(move |_| {
            let _ = told.send(true);
        }),
        "deloxide" => {
            let callback = move |_| {
                let _ = told.send(true);
            };
            deloxide::Deloxide::new().callback(callback).start().expect("it starts");
        }
        "parking_lot-deadlock_detection" => {
            thread::spawn(move || {
                loop {
                    thread::sleep(Duration::from_millis(10));
                    if !parking_lot_detecting::deadlock::check_deadlock().is_empty() {
                        let _ = told.send(true);
                    }
                }
            });
        }
        _ => {}
    }
}
