//! Optimal dynamic partial order reduction: one execution for each class, and none that leads nowhere.
//!
//! The algorithm is that of P. Abdulla, S. Aronis, B. Jonsson and K. Sagonas, "Source Sets: A Foundation for
//! Optimal Dynamic Partial Order Reduction", JACM 64(4), 2017, with two differences. Steps are arrivals and are
//! always enabled, so a race is never between a step and one that it enables. And at the end of an execution the
//! races of *all* its pairs are reversed, those of the replayed prefix too: what comes after a race is part of
//! the sequence that reverses it, and it is different in each execution. (Reversing only the races of new
//! events loses classes, rarely.)
//!
//! Every node of the path knows the steps that are asleep there (what follows them has been explored, up to
//! their first dependent step) and the branches still to be taken, as an ordered tree of steps. To reverse the
//! race of events i and j is to take, at the node of i, the sequence v of all that came after i without having
//! to, and then j. If some sleeper is a weak initial of v, the reversal has been explored; else v is inserted into
//! the tree: down where a branch is a weak initial of what is left of it, otherwise as a branch to the right.
//!
//! **A cycle.** An arrival that closes a cycle of waits and is told so depends on the arrivals of that cycle,
//! though they are at other objects: in another order another of them would be the victim. So it is ordered after
//! them and races with them, and a sleeper whose arrival would now close a cycle through the step just taken
//! wakes.

use std::ops::Range;

use super::branches::{Branches, NO_BRANCH};
use super::clock::Clock;
use super::dependence::{Touch, depend};
use super::execution::{Execution, Guide, KnownStep, NONE};
use super::mutants::{self, Mutant};
use crate::wait::Kind;

/// A step of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Move {
    pub(super) task: u8,
    pub(super) touch: Touch,
}

/// A step that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) step: Move,
    /// The how manieth of its task.
    pub(super) nth: i16,
    /// What has happened when it has.
    pub(super) clock: Clock,
    /// The event before it on the same object.
    previous: u32,
}

impl Event {
    /// Whether it has happened before the later one could.
    #[inline]
    fn is_before(&self, later: &Self) -> bool {
        later.clock.knows(self.step.task, self.nth)
    }
}

/// The state before a step of the path, and the step.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) event: Event,
    pub(super) sleep: Vec<Move>,
    /// A tree, whose first branch is being taken.
    branches: u32,
    /// Events that this one is in a race with.
    races: Vec<u32>,
    /// Tasks whose next step depends on this one by a cycle.
    disturbs: u32,
    /// The events that this one closed a cycle with.
    pub(super) closed_with: Vec<u32>,
}

/// Which step a free choice takes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum First {
    /// That of the lowest task.
    #[default]
    Lowest,
    /// One of the same task again.
    #[cfg_attr(not(test), allow(dead_code))]
    Same,
    /// That of the highest task.
    #[cfg_attr(not(test), allow(dead_code))]
    Highest,
}

/// Two events of the path that nothing else orders, by their places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Race {
    pub(super) first: usize,
    pub(super) second: usize,
}

/// A program that does not do the same thing twice.
#[derive(Clone, Debug)]
pub(super) struct Parted {
    /// The step at which.
    pub(super) step: usize,
    pub(super) expected: Move,
    pub(super) found: Option<Move>,
}

/// The path that is explored, and what is still to be explored beside it.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) nodes: Vec<Node>,
    branches: Branches,
    first: First,
    /// How many steps of the path are given.
    given: usize,
    /// The first node that the next execution makes or leaves anew.
    fresh: usize,
    /// How many steps the execution that is going on has taken.
    depth: usize,
    limit: usize,
    /// Steps that are asleep at the nodes of an item of work, besides those the path itself puts to sleep.
    left: Vec<Vec<Move>>,
    pub(super) asleep: bool,
    /// Some step has closed a cycle, in this execution or another one.
    pub(super) closes: bool,
    pub(super) too_long: bool,
    pub(super) parted: Option<Parted>,
    /// Where a sequence is made that is to be inserted.
    inserted: Vec<usize>,
}

impl Search {
    pub(super) fn new(first: First, limit: usize) -> Self {
        Self {
            nodes: Vec::new(),
            branches: Branches::new(),
            first,
            given: 0,
            fresh: 0,
            depth: 0,
            limit,
            left: Vec::new(),
            asleep: false,
            closes: false,
            too_long: false,
            parted: None,
            inserted: Vec::new(),
        }
    }

    /// Begins an item of work: the steps that lead to it, and at each node what is asleep there.
    pub(super) fn begin(&mut self, path: Vec<Move>, left: Vec<Vec<Move>>) {
        self.given = 0;
        self.fresh = 0;
        self.left = left;
        if self.nodes.is_empty() {
            self.nodes.push(Node::new());
        }
        self.branches.clear();
        self.nodes[0].branches = self.branches.chain(path.into_iter());
    }

    /// How many steps the last execution took.
    pub(super) fn len(&self) -> usize {
        self.depth
    }

    pub(super) fn restart(&mut self) {
        self.depth = 0;
        self.asleep = false;
        self.too_long = false;
        self.parted = None;
    }

    /// The execution is over, for whatever reason, or because nothing was left that could happen.
    pub(super) fn ends(&mut self, execution: &Execution, given_up: bool) {
        self.depth = execution.steps();
        if self.depth < self.given && !given_up {
            let expected = self.branches[self.nodes[self.depth].branches].step;
            self.parted = Some(Parted { step: self.depth, expected, found: None });
        }
    }

    /// The item's own path has been walked: what was asleep along it is in the nodes now.
    pub(super) fn arrived(&mut self) {
        self.left.clear();
    }

    /// Makes the node of a step that is not given.
    fn enter(&mut self, execution: &Execution, enabled: u32) -> bool {
        let depth = self.depth;
        if self.nodes.len() == depth {
            self.nodes.push(Node::new());
        }
        let (before, rest) = self.nodes.split_at_mut(depth);
        let last = before.last().map_or(0, |node| node.event.step.task);
        let node = &mut rest[0];
        node.sleep.clear();
        if let Some(parent) = before.last_mut() {
            let taken = parent.event.step;
            node.sleep.extend(parent.sleep.iter().filter(|sleeper| {
                sleeper.task != taken.task
                    && !depend(sleeper.touch, taken.touch)
                    && parent.disturbs >> sleeper.task & 1 == 0
            }));
            node.branches = self.branches.take_then(parent.branches);
        }
        if let Some(left) = self.left.get(depth) {
            node.sleep.extend_from_slice(left);
        }
        if node.branches == NO_BRANCH {
            let awake = node.sleep.iter().fold(enabled, |awake, sleeper| awake & !(1 << sleeper.task));
            if awake == 0 {
                return false;
            }
            let task = match self.first {
                First::Same if awake >> last & 1 == 1 => last,
                First::Highest => 31 - awake.leading_zeros() as u8,
                _ => awake.trailing_zeros() as u8,
            };
            let step = Move { task, touch: execution.pending(task) };
            node.branches = self.branches.chain(std::iter::once(step));
        }
        self.given = depth + 1;
        true
    }

    /// Orders the step that is taken among all before it.
    fn order(&mut self, execution: &Execution, step: Move) {
        let depth = self.depth;
        let previous = execution.previous(step.touch.object, depth as u32);
        let needed_at = execution.needed_at(step.task);
        if depth < self.fresh {
            let clock = self.nodes[depth].event.clock;
            return execution.set_clock(step.task, clock);
        }
        self.nodes[depth].disturbs = match step.touch.kind {
            Kind::Look if step.touch.object != 0 => execution.leading_through(step.task),
            _ => 0,
        };
        let mut clock = execution.clock(step.task);
        let nth = clock.tick(step.task);
        let mut races = std::mem::take(&mut self.nodes[depth].races);
        races.clear();
        let mut at = previous;
        while at != NONE {
            let earlier = &self.nodes[at as usize].event;
            if depend(earlier.step.touch, step.touch) {
                self.race(&mut races, &mut clock, step.task, at);
                // What this step depends on, an earlier one of its kind depends on too, and so has ordered it.
                if earlier.step.touch.kind == step.touch.kind {
                    break;
                }
            }
            at = earlier.previous;
        }
        for at in needed_at {
            self.race(&mut races, &mut clock, step.task, at);
        }
        execution.set_clock(step.task, clock);
        let node = &mut self.nodes[depth];
        node.races = races;
        node.event = Event { step, nth, clock, previous };
    }

    /// The step depends on the event at `at`; if nothing else orders them, they are in a race.
    fn race(&self, races: &mut Vec<u32>, clock: &mut Clock, task: u8, at: u32) {
        let earlier = &self.nodes[at as usize].event;
        if !clock.knows(earlier.step.task, earlier.nth) {
            if earlier.step.task != task {
                races.push(at);
            }
            clock.join(&earlier.clock);
        }
    }

    /// The events of the last execution whose races are reversed: all of them.
    pub(super) fn racing(&self) -> Range<usize> {
        let first = if mutants::is(Mutant::NewRacesOnly) { self.fresh } else { 0 };
        first..self.depth
    }

    /// The `nth` race of an event with earlier ones, if there are so many.
    #[inline]
    pub(super) fn race_of(&self, second: usize, nth: usize) -> Option<Race> {
        let first = *self.nodes[second].races.get(nth)?;
        Some(Race { first: first as usize, second })
    }

    /// What the sequence that reverses a race of the last execution consists of, as places of the path.
    ///
    /// The second event stands where it came, and not at the end, as in the sequence: that is the same to whoever asks
    /// what can come first, since what came later and did not have to come after the first event did not have to come
    /// after the second either.
    #[inline]
    pub(super) fn reversed(&self, race: Race) -> impl Iterator<Item = usize> + Clone + '_ {
        let Race { first, second } = race;
        let earlier = &self.nodes[first].event;
        let had_to = move |at: usize| earlier.is_before(&self.nodes[at].event);
        (first + 1..self.depth).filter(move |at| *at == second || !had_to(*at))
    }

    /// The sequence that reverses a race of the last execution.
    pub(super) fn sequence(&self, race: Race, into: &mut Vec<usize>) {
        into.clear();
        into.extend(self.reversed(race).filter(|at| *at != race.second));
        into.push(race.second);
    }

    /// Whether a step can come first in a sequence, possibly because it does not matter to it: then at which
    /// place of the sequence it is, if it is in it.
    #[inline]
    pub(super) fn weak_initial(
        &self,
        sequence: impl Iterator<Item = usize> + Clone,
        step: Move,
    ) -> Option<Option<usize>> {
        let events = || sequence.clone().map(|at| &self.nodes[at].event);
        if let Some((place, of_task)) = events().enumerate().find(|(_, event)| event.step.task == step.task) {
            let first = events().take(place).all(|earlier| !earlier.is_before(of_task));
            return first.then_some(Some(place));
        }
        if mutants::is(Mutant::StricterWeakInitial) {
            return None;
        }
        let independent = sequence.clone().all(|at| {
            let node = &self.nodes[at];
            !depend(node.event.step.touch, step.touch) && node.disturbs >> step.task & 1 == 0
        });
        independent.then_some(None)
    }

    /// Whether what the reversal of a race leads to has been explored already.
    pub(super) fn is_asleep(&self, race: Race) -> bool {
        let sleep = &self.nodes[race.first].sleep;
        sleep.iter().any(|sleeper| self.weak_initial(self.reversed(race), *sleeper).is_some())
    }

    /// Adds the reversal of a race to what is to be explored.
    pub(super) fn insert(&mut self, race: Race) {
        if self.is_asleep(race) {
            return;
        }
        let mut sequence = std::mem::take(&mut self.inserted);
        self.sequence(race, &mut sequence);
        self.insert_right_of(self.nodes[race.first].branches, &mut sequence);
        self.inserted = sequence;
    }

    fn insert_right_of(&mut self, taken: u32, sequence: &mut Vec<usize>) {
        let (mut last, mut branch) = (taken, self.branches[taken].next);
        while branch != NO_BRANCH {
            let here = self.branches[branch];
            (last, branch) = match self.weak_initial(sequence.iter().copied(), here.step) {
                None => (branch, here.next),
                Some(place) => {
                    if let Some(place) = place {
                        sequence.remove(place);
                    }
                    // At the end of a sequence that was inserted before, all is explored that follows.
                    if here.then == NO_BRANCH || sequence.is_empty() {
                        return;
                    }
                    (branch, here.then)
                }
            };
        }
        let chain = self.branches.chain(sequence.iter().map(|k| self.nodes[*k].event.step));
        self.branches.append(last, chain);
    }

    /// Goes back to the last node above `floor` that has a branch left; `false` if none has.
    pub(super) fn back(&mut self, floor: usize) -> bool {
        for at in (floor..self.depth).rev() {
            let node = &mut self.nodes[at];
            let taken = self.branches[node.branches].step;
            node.branches = self.branches.take_first(node.branches);
            if !mutants::is(Mutant::ForgetSleepers) {
                node.sleep.push(taken);
            }
            if node.branches != NO_BRANCH {
                (self.given, self.fresh) = (at + 1, at);
                return true;
            }
        }
        false
    }
}

impl Guide for Search {
    fn begins(&mut self, execution: &Execution) {
        let from = execution.known().min(self.fresh);
        let step = |node: &Node| {
            let Event { step: Move { task, touch }, clock, .. } = node.event;
            (KnownStep { task, touch }, clock)
        };
        execution.knows(from, self.nodes[from..self.fresh].iter().map(step));
    }

    fn choose(&mut self, execution: &Execution, enabled: u32) -> Option<u8> {
        self.depth = execution.steps();
        if self.depth >= self.limit {
            self.too_long = true;
            return None;
        }
        if self.depth >= self.given && !self.enter(execution, enabled) {
            self.asleep = true;
            return None;
        }
        let expected = self.branches[self.nodes[self.depth].branches].step;
        let is_enabled = enabled >> expected.task & 1 == 1;
        let found = is_enabled.then(|| Move { task: expected.task, touch: execution.pending(expected.task) });
        if found != Some(expected) {
            self.parted = Some(Parted { step: self.depth, expected, found });
            return None;
        }
        self.order(execution, expected);
        self.depth += 1;
        Some(expected.task)
    }

    fn taken(&mut self, execution: &Execution, task: u8) {
        let at = self.depth - 1;
        if at < self.fresh {
            return;
        }
        self.nodes[at].closed_with.clear();
        execution.closed_with(&mut self.nodes[at].closed_with);
        if mutants::is(Mutant::CycleIndependent) {
            return;
        }
        self.nodes[at].disturbs |= execution.disturbed(task);
        self.closes |= !self.nodes[at].closed_with.is_empty();
        if self.nodes[at].closed_with.is_empty() {
            return;
        }
        let mut races = std::mem::take(&mut self.nodes[at].races);
        let mut clock = self.nodes[at].event.clock;
        for event in &self.nodes[at].closed_with {
            self.race(&mut races, &mut clock, task, *event);
        }
        self.nodes[at].races = races;
        self.nodes[at].event.clock = clock;
    }
}

impl Node {
    fn new() -> Self {
        let step = Move { task: 0, touch: Touch::NOTHING };
        Self {
            event: Event { step, nth: 0, clock: Clock::ZERO, previous: NONE },
            sleep: Vec::new(),
            branches: NO_BRANCH,
            races: Vec::new(),
            disturbs: 0,
            closed_with: Vec::new(),
        }
    }
}
