//! Every interleaving, one after the other; and the classes among them, by a dependence table of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::programs::Observed;
use crate::explore::classes::Fingerprint;
use crate::explore::execution::{Execution, Guide, NONE, Outcome};
use crate::explore::exploration::{Collect, Exploration, Tally};
use crate::explore::explorer::Settings;
use crate::explore::mutants::{self, Mutant};
use crate::explore::search::{Move, Search};
use crate::explore::supervise::{self, Progress};
use crate::wait::Kind;

/// A step of an execution: whose, what, and the events it closed a cycle with.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) step: Move,
    pub(super) closed_with: Vec<u32>,
}

/// A class: every step, by task and how manieth of it, with what has to have happened before.
pub(super) type Class = Vec<(u8, u8, u32, u8, Past)>;

/// How many steps of each task.
type Past = [u8; 16];

/// All that an exploration saw of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) classes: BTreeSet<Class>,
    pub(super) outcomes: BTreeSet<String>,
    /// In some execution a deadlock was returned as an error, or a job served because it was needed.
    pub(super) cycles: bool,
    /// The latter.
    pub(super) needs: bool,
}

/// Whether the order of two steps can be told: written down once more, by objects, and not taken from the
/// explorer.
fn related(a: Kind, b: Kind) -> bool {
    use Kind::*;
    let either = |x: Kind, others: &[Kind]| a == x && others.contains(&b) || b == x && others.contains(&a);
    let any = |x: Kind| a == x || b == x;
    any(Cancel)
        || any(Take) && a != b && !any(Owe) && !any(IsClosed)
        || either(Post, &[Post, Keep, Close, TryPost, CloseNow])
        || either(TryPost, &[TryPost, Keep, Close, CloseNow])
        || either(Keep, &[Keep])
        || either(Close, &[Close, Owe, IsClosed])
        || either(CloseNow, &[CloseNow, Close, Owe, IsClosed, Keep])
        || either(Len, &[Post, TryPost, Keep, CloseNow])
        || either(Idle, &[Post, TryPost, Keep, CloseNow])
        || either(Settle, &[TryPost])
        || either(Push, &[Push])
        || either(Pop, &[Pop])
        || either(TryPop, &[Push, Pop, TryPop])
        || either(Lock, &[Lock, Read, TryRead])
        || either(TryRead, &[TryLock, Unlock])
        || either(Read, &[TryLock])
        || either(Close, &[Push, TryPop])
        || either(TryLock, &[Lock, TryLock, Unlock, Post, TryPost, Keep])
        || either(Settle, &[Look, Post, Keep])
        || either(Store, &[Load, Store])
        || either(Await, &[Await, Notify])
        || either(Notify, &[Notify, Look])
}

/// The class of an execution.
pub(super) fn class_of(steps: &[Step]) -> Class {
    let mut counts: Past = [0; 16];
    let mut past: Vec<Past> = Vec::with_capacity(steps.len());
    let mut class = Class::with_capacity(steps.len());
    for (at, Step { step, closed_with }) in steps.iter().enumerate() {
        let mut before: Past = [0; 16];
        for (earlier, other) in steps[..at].iter().enumerate() {
            let touch = (other.step.touch, step.touch);
            let on_one_object = touch.0.object == touch.1.object && touch.0.object != 0;
            let ordered = other.step.task == step.task
                || on_one_object && related(touch.0.kind, touch.1.kind)
                || closed_with.contains(&(earlier as u32));
            if ordered {
                for (known, count) in before.iter_mut().zip(&past[earlier]) {
                    *known = (*known).max(*count);
                }
            }
        }
        let nth = &mut counts[step.task as usize];
        *nth += 1;
        class.push((step.task, *nth, step.touch.object, step.touch.kind as u8, before));
        before[step.task as usize] = *nth;
        past.push(before);
    }
    class.sort_unstable();
    class
}

/// The number by which sampling tells that class from others.
fn number_of(steps: &[Step]) -> u64 {
    let mut fingerprint = Fingerprint::default();
    for (at, Step { step, closed_with }) in steps.iter().enumerate() {
        let on_it = |earlier: &Step| step.touch.object != 0 && earlier.step.touch.object == step.touch.object;
        let previous = steps[..at].iter().rposition(on_it).map_or(NONE, |at| at as u32);
        fingerprint.add(*step, previous, closed_with.iter().copied());
    }
    fingerprint.of_class()
}

/// Takes every branch at every step.
#[derive(Default)]
struct Naive {
    /// At each step: who is left to be tried, the first of them now.
    branches: Vec<Vec<u8>>,
    steps: Vec<Step>,
}

impl Naive {
    fn back(&mut self) -> bool {
        self.branches.truncate(self.steps.len());
        while let Some(last) = self.branches.last_mut() {
            last.remove(0);
            if !last.is_empty() {
                return true;
            }
            self.branches.pop();
        }
        false
    }
}

impl Guide for Naive {
    fn choose(&mut self, execution: &Execution, enabled: u32) -> Option<u8> {
        let at = self.steps.len();
        if self.branches.len() == at {
            self.branches.push((0..32).filter(|task| enabled >> task & 1 == 1).collect());
        }
        let task = self.branches[at][0];
        let step = Move { task, touch: execution.pending(task) };
        self.steps.push(Step { step, closed_with: Vec::new() });
        Some(task)
    }

    fn taken(&mut self, execution: &Execution, _: u8) {
        execution.closed_with(&mut self.steps.last_mut().expect("a step was taken").closed_with);
    }
}

/// Everything that can happen, if that is no more than `most` executions. Whatever has been found out of the
/// objects is taken into account, as in the search.
pub(super) fn enumerate(exploration: &Arc<Exploration>, most: usize) -> Option<(usize, Seen)> {
    let this = exploration.clone();
    let enumerated = supervise::threads(exploration, 1, Progress::default(), move |_, execution| {
        loop {
            execution.refresh();
            let mut seen = Seen::default();
            let mut naive = Naive::default();
            let mut executions = 0;
            let mut numbers = BTreeMap::<Class, u64>::new();
            let whole = loop {
                naive.steps.clear();
                let outcome = execution.run(&mut naive);
                if this.names.changed() {
                    break false;
                }
                let class = class_of(&naive.steps);
                let number = number_of(&naive.steps);
                assert_eq!(*numbers.entry(class.clone()).or_insert(number), number, "one class, one number");
                seen.add(class, &outcome);
                executions += 1;
                if executions > most {
                    return None;
                }
                if !naive.back() {
                    break true;
                }
            };
            if whole {
                let distinct: BTreeSet<_> = numbers.values().collect();
                assert_eq!(distinct.len(), numbers.len(), "each class has a number of its own");
                return Some((executions, seen));
            }
        }
    });
    enumerated.ok()?.pop()?
}

impl Seen {
    fn add(&mut self, class: Class, outcome: &Outcome) {
        self.classes.insert(class);
        self.needs |= outcome.needed;
        self.cycles |= outcome.needed || outcome.deadlocks.iter().any(|(_, returned)| *returned);
        self.outcomes.insert(Observed::take(outcome));
    }
}

/// What the explorer sees of the same program under these settings.
pub(super) fn explored(settings: Settings, like: &Exploration) -> (Tally, Seen) {
    let seen = Arc::<Mutex<Seen>>::default();
    let mut exploration = Exploration::bare(settings, like.body.clone());
    exploration.names = like.names.clone();
    let all = seen.clone();
    let collect: Box<Collect> = Box::new(move |search: &Search, outcome: &Outcome| {
        // The class by the table of this file; mutants are only in the search.
        let step = |at: usize| Step {
            step: search.nodes[at].event.step,
            closed_with: search.nodes[at].closed_with.clone(),
        };
        let steps: Vec<_> = (0..search.len()).map(step).collect();
        all.lock().unwrap().add(class_of(&steps), outcome);
    });
    exploration.collect = Some(collect);
    mutants::seed(Mutant::None);
    let tally = Arc::new(exploration).prove();
    let seen = seen.lock().unwrap().clone();
    (tally, seen)
}
