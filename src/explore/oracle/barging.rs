//! The same programs by an interpreter of their own: no coroutines, no arrivals, no lines.
//!
//! A step is an operation that can be done now: a pop needs an item, a lock needs to be free, and whoever comes
//! first takes it, however long others have waited. All reachable states are visited; what is compared is the
//! set of outcomes.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use super::programs::{Do, Program};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    queues: Vec<VecDeque<u32>>,
    /// Who holds each lock, and how many times it was taken by `Lock`.
    locks: Vec<(Option<usize>, u32)>,
    tasks: Vec<TaskState>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct TaskState {
    next: usize,
    some: bool,
    held: Vec<usize>,
    /// It has begun to wait for this lock.
    waits: Option<usize>,
    over: bool,
    /// It tried a lock and got it.
    tried: bool,
    notes: Vec<String>,
}

/// Every outcome of the program, as the explorer's programs note them.
pub(super) fn outcomes(program: &Program, most: usize) -> Option<BTreeSet<String>> {
    let start = State {
        queues: vec![VecDeque::new(); program.objects],
        locks: vec![(None, 0); program.objects],
        tasks: vec![TaskState::default(); program.tasks.len()],
    };
    let (mut visited, mut open, mut found) = (HashSet::new(), vec![start], BTreeSet::new());
    while let Some(state) = open.pop() {
        if visited.len() > most {
            return None;
        }
        if !visited.insert(state.clone()) {
            continue;
        }
        let next: Vec<_> = (0..program.tasks.len()).filter_map(|task| step(program, &state, task)).collect();
        if next.is_empty() {
            let stuck = state.tasks.iter().any(|task| !task.over);
            let notes = state.tasks.iter().enumerate().filter(|(_, task)| !task.notes.is_empty());
            let notes: BTreeMap<usize, &Vec<String>> = notes.map(|(at, task)| (at, &task.notes)).collect();
            found.insert(format!("{notes:?}, stuck: {stuck}, panics: 0"));
        }
        open.extend(next);
    }
    Some(found)
}

/// The state after the task's next operation, if it can be done.
fn step(program: &Program, before: &State, task: usize) -> Option<State> {
    let mut state = before.clone();
    let me = &mut state.tasks[task];
    if me.over {
        return None;
    }
    let at = me.next;
    let Some(does) = program.tasks[task].get(at).copied() else {
        // What is still held goes, the innermost first.
        match me.held.pop() {
            Some(lock) => state.locks[lock].0 = None,
            None => me.over = true,
        }
        return Some(state);
    };
    let item = (task * 16 + at) as u32;
    match does {
        Do::Push(o) => state.queues[o].push_back(item),
        Do::Pop(o) => {
            let item = state.queues[o].pop_front()?;
            me.notes.push(format!("popped {item}"));
        }
        Do::TryPop(o) => {
            let item = state.queues[o].pop_front();
            me.some = item.is_some();
            me.notes.push(format!("tried {item:?}"));
        }
        Do::Lock(o) => {
            if state.locks[o].0.is_some() {
                return None;
            }
            state.locks[o].0 = Some(task);
            state.locks[o].1 += 1;
            me.notes.push(format!("locked as {}", state.locks[o].1));
            me.held.push(o);
        }
        Do::Unlock(o) => {
            me.held.retain(|lock| *lock != o);
            state.locks[o].0 = None;
        }
        Do::TryLock(o) if me.tried => {
            me.tried = false;
            state.locks[o].0 = None;
        }
        Do::TryLock(o) => {
            me.tried = state.locks[o].0.is_none();
            me.notes.push(format!("tried the lock: {}", me.tried));
            if me.tried {
                state.locks[o].0 = Some(task);
                return Some(state);
            }
        }
        Do::Checked(o) => {
            if state.locks[o].0.is_some() {
                if me.waits.is_some() {
                    return None;
                }
                me.waits = Some(o);
                if !closes(&state, task) {
                    return Some(state);
                }
                let me = &mut state.tasks[task];
                me.waits = None;
                me.notes.push("a cycle".into());
                me.next = program.tasks[task].len();
                return Some(state);
            }
            me.waits = None;
            state.locks[o].0 = Some(task);
            me.held.push(o);
        }
        Do::PushIfSome(o) if me.some => state.queues[o].push_back(item),
        Do::UnlockIfHeld(o) if me.held.last() == Some(&o) => {
            me.held.pop();
            state.locks[o].0 = None;
        }
        Do::TryPopIfNone(o) if !me.some => {
            let item = state.queues[o].pop_front();
            me.some = item.is_some();
            me.notes.push(format!("tried again {item:?}"));
        }
        _ => {}
    }
    let me = &mut state.tasks[task];
    me.notes.push(format!("did {at}"));
    me.next += 1;
    Some(state)
}

/// Whether the wait that the task has just begun leads back to it.
fn closes(state: &State, task: usize) -> bool {
    let mut at = task;
    for _ in 0..=state.tasks.len() {
        let Some(holder) = state.tasks[at].waits.and_then(|lock| state.locks[lock].0) else { return false };
        if holder == task {
            return true;
        }
        at = holder;
    }
    false
}
