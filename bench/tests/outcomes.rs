//! What the explorer sees is what loom and shuttle's depth-first search see, of programs that they can finish.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// What each task does: takes these locks, one after the other, and adds its name to the log behind each.
type Program = &'static [&'static [usize]];

/// For each lock the names in its log.
type Outcome = Vec<Vec<usize>>;

const PROGRAMS: [Program; 6] = [
    &[&[0], &[0]],
    &[&[0, 1], &[1, 0]],
    &[&[0, 0], &[0, 1]],
    &[&[0, 1], &[0, 1]],
    &[&[0], &[0], &[0]],
    &[&[0, 1], &[1], &[0]],
];

/// Runs a program with somebody's lock and threads, and keeps what came of it.
macro_rules! run {
    ($program:expr, $outcomes:expr, $mutex:path, $lock:expr, $spawn:expr) => {{
        let logs: Arc<Vec<_>> = Arc::new((0..2).map(|_| $mutex(Vec::new())).collect());
        let task = |name: usize| {
            let logs = logs.clone();
            $spawn(move || $program[name].iter().for_each(|log| $lock(&logs[*log]).push(name)))
        };
        let tasks: Vec<_> = (1..$program.len()).map(task).collect();
        $program[0].iter().for_each(|log| $lock(&logs[*log]).push(0));
        tasks.into_iter().for_each(|task| task.join().unwrap());
        $outcomes.lock().unwrap().insert(logs.iter().map(|log| $lock(log).clone()).collect::<Outcome>());
    }};
}

fn outcomes(explore: impl FnOnce(Arc<Mutex<BTreeSet<Outcome>>>)) -> BTreeSet<Outcome> {
    let outcomes = Arc::default();
    explore(Arc::clone(&outcomes));
    let seen = outcomes.lock().unwrap().clone();
    assert!(!seen.is_empty());
    seen
}

fn ours(program: Program) -> BTreeSet<Outcome> {
    fn lock<T>(lock: &impasse::sync::Mutex<T>) -> impasse::sync::MutexGuard<'_, T> {
        lock.lock()
    }
    let spawn = |body| impasse::thread::spawn_named("task", body).unwrap();
    outcomes(|seen| impasse::explore(move || run!(program, seen, impasse::sync::Mutex::new, lock, spawn)))
}

fn looms(program: Program) -> BTreeSet<Outcome> {
    fn lock<T>(lock: &loom::sync::Mutex<T>) -> loom::sync::MutexGuard<'_, T> {
        lock.lock().unwrap()
    }
    outcomes(|seen| {
        loom::model(move || run!(program, seen, loom::sync::Mutex::new, lock, loom::thread::spawn));
    })
}

fn shuttles(program: Program) -> BTreeSet<Outcome> {
    fn lock<T>(lock: &shuttle::sync::Mutex<T>) -> shuttle::sync::MutexGuard<'_, T> {
        lock.lock().unwrap()
    }
    outcomes(|seen| {
        let body = move || run!(program, seen, shuttle::sync::Mutex::new, lock, shuttle::thread::spawn);
        shuttle::check_dfs(body, None);
    })
}

#[test]
fn all_three_see_the_same_outcomes() {
    for program in PROGRAMS {
        let seen = ours(program);
        assert_eq!(seen, looms(program), "{program:?}");
        assert_eq!(seen, shuttles(program), "{program:?}");
    }
}
