//! Random programs over queues, locks, tries and data.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::explore::execution::Outcome;
use crate::sync::{Mutex, MutexGuard, Queue};
use crate::thread;
use crate::wait::{self, Manner};

/// What a task does next. The number is that of the queue or the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Do {
    Push(usize),
    Pop(usize),
    TryPop(usize),
    Lock(usize),
    Unlock(usize),
    /// And unlocks again.
    TryLock(usize),
    /// A lock that returns deadlocks; after one the task ends.
    Checked(usize),
    /// If the last try found something.
    PushIfSome(usize),
    /// If it is the innermost one held.
    UnlockIfHeld(usize),
    /// If the last try found nothing.
    TryPopIfNone(usize),
}

/// A program: what each task does, with how many queues and locks.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) objects: usize,
    pub(super) tasks: Vec<Vec<Do>>,
}

/// The generator whose seeds are known to lose classes in variants of the search that are wrong: xorshift64.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..4 {
            dice.roll(2);
        }
        dice
    }

    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 3) % sides
    }
}

impl Program {
    /// Flavours: 0 push and pop; 1 with tries; 2 locks; 3 all of these; 4 locks that return deadlocks; 5 what is
    /// done depends on what was found; 6 many objects.
    pub(super) fn random(seed: u64) -> Self {
        use Do::*;
        let mut dice = Dice::new(seed);
        let flavour = dice.roll(7);
        let tasks = 2 + dice.roll(3);
        let objects = if flavour == 6 { 3 } else { 1 + dice.roll(2) + u64::from(flavour == 4) };
        let most = 2 + dice.roll(3);
        let task = |dice: &mut Dice| {
            let mut held: Vec<usize> = Vec::new();
            let mut does = Vec::new();
            for _ in 0..1 + dice.roll(most) {
                let o = dice.roll(objects) as usize;
                let mut lock_or_unlock = |does: &mut Vec<Do>| {
                    if held.contains(&o) {
                        held.retain(|other| *other != o);
                        does.push(Unlock(o));
                    } else {
                        held.push(o);
                        does.push(Lock(o));
                    }
                };
                match flavour {
                    0 => does.push([Push(o), Pop(o)][dice.roll(2) as usize]),
                    1 => does.push([Push(o), Pop(o), TryPop(o)][dice.roll(3) as usize]),
                    2 => lock_or_unlock(&mut does),
                    4 => {
                        if dice.roll(4) == 0 && !held.is_empty() {
                            does.extend(held.pop().map(UnlockIfHeld));
                        } else if !held.contains(&o) {
                            held.push(o);
                            does.push(Checked(o));
                        }
                    }
                    5 => does.push(
                        [
                            Push(o),
                            TryPop(o),
                            PushIfSome(o),
                            Push(o),
                            TryPop(o),
                            PushIfSome(o),
                            TryPopIfNone(o),
                        ][dice.roll(7) as usize],
                    ),
                    6 => does.push([Push(o), Push(o), TryPop(o), PushIfSome(o)][dice.roll(4) as usize]),
                    _ => match dice.roll(4) {
                        0 => does.push(Push(o)),
                        1 => does.push(Pop(o)),
                        2 => lock_or_unlock(&mut does),
                        _ => does.extend((!held.contains(&o)).then_some(TryLock(o))),
                    },
                }
            }
            if flavour != 4 {
                does.extend(held.into_iter().rev().map(Unlock));
            }
            does
        };
        let tasks = (0..tasks).map(|_| task(&mut dice)).collect();
        Self { objects: objects as usize, tasks }
    }

    /// The program as a closure for the explorer.
    pub(super) fn body(&self) -> Arc<dyn Fn() + Send + Sync> {
        let program = Arc::new(self.clone());
        Arc::new(move || program.run())
    }

    fn run(self: &Arc<Self>) {
        Observed::begin();
        let queues: Arc<Vec<Queue<u32>>> = Arc::new((0..self.objects).map(|_| Queue::new()).collect());
        let locks: Arc<Vec<Mutex<u32>>> = Arc::new((0..self.objects).map(|_| Mutex::new(0)).collect());
        let start = |task: usize| {
            let (program, queues, locks) = (self.clone(), queues.clone(), locks.clone());
            let body = move || program.run_task(task, &queues, &locks);
            thread::spawn_named(&task.to_string(), body).unwrap()
        };
        let threads: Vec<_> = (0..self.tasks.len()).map(start).collect();
        for thread in threads {
            let _ = thread.checked_join();
        }
    }

    fn run_task(&self, task: usize, queues: &[Queue<u32>], locks: &[Mutex<u32>]) {
        let checked = self.tasks[task].iter().any(|does| matches!(does, Do::Checked(_)));
        if !checked {
            wait::current().manner.set(Manner::Unjudged);
        }
        let mut held: Vec<(usize, MutexGuard<'_, u32>)> = Vec::new();
        let mut some = false;
        let note = |what: String| Observed::note(task, what);
        for (at, does) in self.tasks[task].iter().enumerate() {
            let item = (task * 16 + at) as u32;
            match *does {
                Do::Push(o) => queues[o].push(item),
                Do::Pop(o) => match queues[o].pop() {
                    Ok(item) => note(format!("popped {item}")),
                    Err(_) => return,
                },
                Do::TryPop(o) => {
                    let item = queues[o].try_pop();
                    some = item.is_some();
                    note(format!("tried {item:?}"));
                }
                Do::Lock(o) => match locks[o].checked_lock() {
                    Ok(mut guard) => {
                        *guard += 1;
                        note(format!("locked as {}", *guard));
                        held.push((o, guard));
                    }
                    Err(_) => return,
                },
                Do::Unlock(o) => held.retain(|(lock, _)| *lock != o),
                Do::TryLock(o) => note(format!("tried the lock: {}", locks[o].try_lock().is_some())),
                Do::Checked(o) => match locks[o].checked_lock() {
                    Ok(guard) => held.push((o, guard)),
                    Err(_) => {
                        note("a cycle".into());
                        break;
                    }
                },
                Do::PushIfSome(o) if some => queues[o].push(item),
                Do::UnlockIfHeld(o) if held.last().is_some_and(|(lock, _)| *lock == o) => drop(held.pop()),
                Do::TryPopIfNone(o) if !some => {
                    let item = queues[o].try_pop();
                    some = item.is_some();
                    note(format!("tried again {item:?}"));
                }
                _ => {}
            }
            note(format!("did {at}"));
        }
        while held.pop().is_some() {}
    }
}

/// What the tasks of an execution have seen, in order; all of them run on one thread.
pub(super) struct Observed;

thread_local! {
    static NOTES: RefCell<BTreeMap<usize, Vec<String>>> = const { RefCell::new(BTreeMap::new()) };
}

impl Observed {
    /// An execution begins.
    pub(super) fn begin() {
        NOTES.take();
    }

    pub(super) fn note(task: usize, what: String) {
        // An execution that is being ended is no longer what the program does.
        if !wait::explored::is_ending() {
            NOTES.with_borrow_mut(|notes| notes.entry(task).or_default().push(what));
        }
    }

    /// All of it, and how the execution ended.
    pub(super) fn take(outcome: &Outcome) -> String {
        let notes = NOTES.take();
        format!("{notes:?}, stuck: {}, panics: {}", outcome.stuck, outcome.panics.len())
    }
}
