//! Reads `src/`: a room imports only from lower ones, and the loom switch stands in three files.
#![cfg(not(loom))]

use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest room to the highest.
const ROOMS: [&str; 9] = ["platform", "wait", "sync", "owner", "session", "explore", "report", "js", "cli"];

/// What the library's root gives to the rooms above the one that defines it.
const ROOT: [(&str, &[&str]); 5] = [
    (
        "wait",
        &[
            "Cancelled",
            "Deadlock",
            "Following",
            "Hop",
            "IntoOp",
            "Lineage",
            "Op",
            "Site",
            "WaitError",
            "Waiting",
            "current_op",
            "on_deadlock",
            "waiting_tasks",
        ],
    ),
    (
        "owner",
        &[
            "OwnerBuilder",
            "CallError",
            "Closed",
            "Handle",
            "Owner",
            "OwnerLoop",
            "Panicked",
            "PostError",
            "Shutdown",
            "ShutdownError",
            "SpawnError",
            "UnknownPolicy",
            "WaitOnOwner",
        ],
    ),
    ("sync", &["select", "thread", "time"]),
    ("explore", &["Explorer"]),
    ("session", &["Canceller", "Outcome", "SessionBuilder", "Run", "RunError", "RunHandle", "Session"]),
];

const SWITCH_FILES: [&str; 3] = ["src/platform/mod.rs", "src/lib.rs", "src/main.rs"];

fn rank(room: &str) -> Option<usize> {
    ROOMS.iter().position(|known| *known == room)
}

/// The room that an item of the root is defined in, or the room itself.
fn room_of(item: &str) -> Option<&str> {
    rank(item).map(|_| item).or_else(|| {
        let found = ROOT.iter().find(|(_, items)| items.contains(&item));
        found.map(|(room, _)| *room)
    })
}

/// A source without its lines of comment: they name rooms freely.
fn code(source: &str) -> String {
    source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The first segments of every path that starts with `crate::`, groups included.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| {
            text.trim_start()
                .chars()
                .take_while(|char| char.is_alphanumeric() || *char == '_')
                .collect::<String>()
        };
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(group) => {
                let mut depth = 1;
                let mut begins = 0;
                for (at, char) in group.char_indices() {
                    match char {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 || (depth == 1 && char == ',') {
                        found.push(word(&group[begins..at]));
                        begins = at + 1;
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }
    found.retain(|word| !word.is_empty());
    found
}

/// What is wrong with one file.
fn violations(path: &str, source: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let code = code(source);
    if !SWITCH_FILES.contains(&path) && code.lines().any(|line| line.contains("cfg") && line.contains("loom"))
    {
        wrong.push(format!("{path}: the loom switch"));
    }
    let Some(room) = path.strip_prefix("src/").and_then(|rest| rest.split_once('/')).map(|(room, _)| room)
    else {
        return wrong;
    };
    let Some(own) = rank(room) else {
        wrong.push(format!("{path}: `{room}` is no room of the design"));
        return wrong;
    };
    for import in imports(&code) {
        match room_of(&import).and_then(rank) {
            Some(other) if other > own => {
                wrong.push(format!("{path}: `{room}` imports `{import}`, which is higher"))
            }
            Some(_) => {}
            None => wrong.push(format!("{path}: `crate::{import}` belongs to no room that this test knows")),
        }
    }
    // `super::super` leads out of the room, past the check above.
    if code.contains("super::super::") {
        wrong.push(format!("{path}: `super::super`"));
    }
    wrong
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, into),
            false if path.extension().is_some_and(|end| end == "rs") => into.push(path),
            false => {}
        }
    }
}

#[test]
fn every_room_imports_only_from_lower_rooms() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    assert!(files.len() > 30, "only {} files were found", files.len());
    let wrong: Vec<_> = files
        .iter()
        .flat_map(|file| {
            let path = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            violations(&path, &fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_check_sees_what_it_is_for() {
    let higher = "src/wait/door.rs: `wait` imports `owner`, which is higher";
    assert_eq!(violations("src/wait/door.rs", "use crate::owner::Handle;"), [higher]);
    assert_eq!(violations("src/wait/door.rs", "use crate::{platform::Mutex, owner::Handle};"), [higher]);
    assert_eq!(violations("src/wait/door.rs", "fn f() { crate::owner::f() }"), [higher]);
    assert_eq!(violations("src/sync/mutex.rs", "use crate::Handle;").len(), 1);
    assert_eq!(violations("src/sync/mutex.rs", "use crate::unheard_of;").len(), 1);
    assert_eq!(violations("src/owner/job.rs", "use crate::wait::Op;\nuse super::super::session;").len(), 1);
    assert_eq!(violations("src/owner/job.rs", "#[cfg(loom)]\nuse x;"), ["src/owner/job.rs: the loom switch"]);
    assert_eq!(violations("src/owner/job.rs", "#[cfg(all(test, not(loom)))]").len(), 1);
    assert_eq!(violations("src/platform/mod.rs", "#[cfg(loom)]\nmod loom;"), [] as [String; 0]);
    assert_eq!(violations("src/session/run.rs", "use crate::{owner::{A, B}, wait};"), [] as [String; 0]);
}
