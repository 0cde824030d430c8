//! The wait-for graph as pure data: does this task's wait complete a deadlock?
//!
//! Nothing here knows of threads. The detector asks with the live program behind the trait, the property
//! tests ask with a table and compare the answer with petgraph's, and with a reduction written naively.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crate::platform::{Bug, seeded};

/// Who can end a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Providers<T> {
    /// Anybody could: the wait counts as live. So does one that nobody has to end.
    Open,
    /// This task alone.
    One(T),
    /// These tasks, and each of them has to: a writer waits for every reader.
    All(Vec<T>),
    /// Any one of these tasks: a queued job waits for some worker of its pool.
    Any(Vec<T>),
}

impl<T: Copy> Providers<T> {
    /// That task, if there is one.
    pub fn one(task: Option<T>) -> Self {
        task.map_or(Self::Open, Self::One)
    }

    /// The task that alone can end the wait, if it is a single one.
    pub fn alone(&self) -> Option<T> {
        match self {
            Self::One(task) => Some(*task),
            _ => None,
        }
    }

    /// All that can have to do with the end of the wait.
    pub fn tasks(&self) -> &[T] {
        match self {
            Self::Open => &[],
            Self::One(task) => std::slice::from_ref(task),
            Self::All(tasks) | Self::Any(tasks) => tasks,
        }
    }

    /// Whether the wait can never end if these tasks do nothing any more, and all others do what they can.
    pub fn are_stuck(&self, is_stuck: impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Open => false,
            Self::One(task) => is_stuck(task),
            Self::All(tasks) => tasks.iter().any(is_stuck),
            Self::Any(tasks) => !tasks.is_empty() && tasks.iter().all(is_stuck),
        }
    }
}

/// A wait-for graph. It may change while it is read.
pub trait WaitFor {
    /// Who waits and who provides.
    type Task: Copy + Eq + Hash;
    /// One wait of one task.
    type Wait: Copy + PartialEq;

    /// The wait that `task` is in, or `None` if it runs.
    fn waiting(&self, task: Self::Task) -> Option<Self::Wait>;

    /// Who can end `wait`.
    fn providers(&self, wait: Self::Wait) -> Providers<Self::Task>;
}

/// One wait of a deadlock: `task` is in `wait`, which cannot end while `stuck` do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<T, W> {
    /// Who waits.
    pub task: T,
    /// Its wait.
    pub wait: W,
    /// Members of the deadlock that keep it from ending: one that the wait needs, or all that could end it.
    pub stuck: Vec<T>,
}

/// The waits of a deadlock, from that of the task that asked. In a cycle each waits for the next, the last for
/// the first; in a knot there is no such order.
pub type Steps<G> = Vec<Step<<G as WaitFor>::Task, <G as WaitFor>::Wait>>;

/// What comes of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding<S> {
    /// Somebody who runs can still end it.
    Live,
    /// It completes a deadlock. What was read may have changed meanwhile: [`confirm`] says whether it did.
    Deadlock(S),
    /// It cannot end as things are, because it waits for a deadlock that it is no part of.
    Elsewhere,
}

/// Whether the wait of `me` completes a deadlock.
///
/// If each wait has one provider, or needs all of its, a cycle is a deadlock and nothing else is. Where any of
/// several can end a wait, a knot is: the graph is reduced (R. C. Holt, "Some deadlock properties of computer
/// systems", Computing Surveys 4, 1972). Who runs is live; so is who waits for any one of several as soon as one of
/// those is live, and who needs all of several when all are. What is left is deadlocked.
///
/// A deadlock that stands without `me` is not of its making: its own last wait is about to find it.
pub fn judge<G: WaitFor>(graph: &G, me: G::Task) -> Finding<Steps<G>> {
    let reached = Reached::from(graph, me);
    let dead = reached.reduce(None);
    if !dead.first().is_some_and(|me| *me) {
        return Finding::Live;
    }
    if let Some(cycle) = reached.shortest_cycle() {
        return Finding::Deadlock(cycle);
    }
    if reached.reduce(Some(0)).contains(&true) {
        return Finding::Elsewhere;
    }
    Finding::Deadlock(reached.knot(&dead))
}

/// Whether a deadlock that was read step by step stood all at once: a second look, from the last step back to
/// the first.
///
/// In a cycle the last task waits for what the asker provides, and the asker is here, so it is stuck. What a stuck
/// task provides it keeps, so the task before it is stuck, and so on around. Reading forwards once is not enough: a
/// provider may have given away what it was seen to hold before it was seen to wait. In a knot each task was seen to
/// wait before anything is read a second time; whoever waits then gives nothing away.
#[must_use]
pub fn confirm<G: WaitFor>(graph: &G, steps: &Steps<G>) -> bool {
    steps.iter().rev().all(|step| {
        graph.providers(step.wait).are_stuck(|task| step.stuck.contains(task))
            && graph.waiting(step.task) == Some(step.wait)
    })
}

/// The waits that the wait of one task depends on, its own first.
struct Reached<T, W> {
    nodes: Vec<Node<T, W>>,
    /// Where each task stands in that list.
    at: HashMap<T, usize>,
}

struct Node<T, W> {
    task: T,
    wait: W,
    providers: Providers<T>,
    /// Those whose waits this one's end could bring nearer.
    wanted_by: Vec<usize>,
}

impl<T: Copy + Eq + Hash, W: Copy + PartialEq> Reached<T, W> {
    fn from(graph: &impl WaitFor<Task = T, Wait = W>, me: T) -> Self {
        let mut reached = Self { nodes: Vec::new(), at: HashMap::new() };
        reached.visit(graph, me);
        let mut next = 0;
        while next < reached.nodes.len() {
            for index in 0..reached.nodes[next].providers.tasks().len() {
                let provider = reached.nodes[next].providers.tasks()[index];
                if let Some(at) = reached.visit(graph, provider) {
                    reached.nodes[at].wanted_by.push(next);
                }
            }
            next += 1;
        }
        reached
    }

    /// Where a task stands; nowhere if it does not wait.
    fn visit(&mut self, graph: &impl WaitFor<Task = T, Wait = W>, task: T) -> Option<usize> {
        match self.at.get(&task) {
            Some(at) if *at == 0 || !seeded(Bug::NoHopBound) => return Some(*at),
            _ => {}
        }
        let wait = graph.waiting(task)?;
        let at = self.nodes.len();
        self.nodes.push(Node { task, wait, providers: graph.providers(wait), wanted_by: Vec::new() });
        self.at.insert(task, at);
        Some(at)
    }

    /// Which waits never end; `live` is thought to run.
    fn reduce(&self, live: Option<usize>) -> Vec<bool> {
        let mut dead = vec![true; self.nodes.len()];
        let mut to_ask: VecDeque<usize> = (0..self.nodes.len()).rev().collect();
        while let Some(index) = to_ask.pop_front() {
            if dead[index] && (live == Some(index) || !self.is_stuck(index, &dead)) {
                dead[index] = false;
                to_ask.extend(&self.nodes[index].wanted_by);
            }
        }
        dead
    }

    fn is_stuck(&self, index: usize, dead: &[bool]) -> bool {
        self.nodes[index].providers.are_stuck(|task| self.at.get(task).is_some_and(|at| dead[*at]))
    }

    /// The shortest cycle through the first task, of waits each of which needs the next task's to end.
    fn shortest_cycle(&self) -> Option<Vec<Step<T, W>>> {
        // Whence each was reached first, breadth first.
        let mut from: Vec<Option<usize>> = vec![None; self.nodes.len()];
        let mut to_ask = VecDeque::from([0]);
        while let Some(index) = to_ask.pop_front() {
            let node = &self.nodes[index];
            if matches!(node.providers, Providers::Any(_)) {
                continue;
            }
            for at in node.providers.tasks().iter().filter_map(|task| self.at.get(task).copied()) {
                if at == 0 {
                    return Some(self.back_from(index, &from));
                }
                if from[at].is_none() {
                    from[at] = Some(index);
                    to_ask.push_back(at);
                }
            }
        }
        None
    }

    /// The way from the first task to this one, and from there to the first again.
    fn back_from(&self, last: usize, from: &[Option<usize>]) -> Vec<Step<T, W>> {
        let way = std::iter::successors(Some(last), |index| from[*index].filter(|_| *index != 0));
        let mut steps = Vec::new();
        let mut stuck = self.nodes[0].task;
        for node in way.map(|index| &self.nodes[index]) {
            steps.push(Step { task: node.task, wait: node.wait, stuck: vec![stuck] });
            stuck = node.task;
        }
        steps.reverse();
        steps
    }

    /// All waits that never end.
    fn knot(&self, dead: &[bool]) -> Vec<Step<T, W>> {
        let is_dead = |task: &T| self.at.get(task).is_some_and(|at| dead[*at]);
        let nodes = self.nodes.iter().zip(dead).filter(|(_, dead)| **dead);
        let steps = nodes.map(|(node, _)| {
            let stuck = node.providers.tasks().iter().copied().filter(is_dead).collect();
            Step { task: node.task, wait: node.wait, stuck }
        });
        steps.collect()
    }
}
