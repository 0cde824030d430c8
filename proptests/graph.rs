//! The graph, as tasks come to hold things, wait, and go on, against petgraph as the oracle where cycles decide, and
//! against a reduction written naively where knots do.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use impasse::wait::graph::{Finding, Providers, Step, WaitFor, confirm, judge};
use petgraph::algo::has_path_connecting;
use petgraph::graphmap::DiGraphMap;
use proptest::prelude::*;

/// Who holds what and who waits for what. A wait is named by its task and what it waits for.
#[derive(Clone, Debug, Default)]
struct Table {
    holder: BTreeMap<u8, u8>,
    queue: BTreeMap<u8, VecDeque<u8>>,
    waiting: BTreeMap<u8, u8>,
}

impl WaitFor for Table {
    type Task = u8;
    type Wait = (u8, u8);

    fn waiting(&self, task: u8) -> Option<(u8, u8)> {
        self.waiting.get(&task).map(|resource| (task, *resource))
    }

    fn providers(&self, (_, resource): (u8, u8)) -> Providers<u8> {
        Providers::one(self.holder.get(&resource).copied())
    }
}

type Cycle = Vec<Step<u8, (u8, u8)>>;

/// The deadlock that a wait completes.
fn found<G: WaitFor<Task = u8>>(graph: &G, me: u8) -> Option<Vec<Step<u8, G::Wait>>> {
    match judge(graph, me) {
        Finding::Deadlock(steps) => Some(steps),
        Finding::Live | Finding::Elsewhere => None,
    }
}

impl Table {
    /// What petgraph says: is there a way back to `me` along the edges?
    fn is_on_a_cycle(&self, me: u8) -> bool {
        let mut graph = DiGraphMap::<u8, ()>::new();
        graph.add_node(me);
        for (task, resource) in &self.waiting {
            if let Some(holder) = self.holder.get(resource) {
                graph.add_edge(*task, *holder, ());
            }
        }
        graph.neighbors(me).any(|next| has_path_connecting(&graph, next, me, None))
    }

    /// A task asks for a resource: it gets it, waits for it, or is refused. `refuses` says whether a wait that
    /// closes a cycle is refused; a detector that is off lets it wait. Waits in vain are kept.
    fn ask(&mut self, task: u8, resource: u8, refuses: bool) -> Result<(), TestCaseError> {
        if self.waiting.contains_key(&task) {
            return Ok(());
        }
        if let Entry::Vacant(free) = self.holder.entry(resource) {
            free.insert(task);
            return Ok(());
        }
        self.waiting.insert(task, resource);
        let found = found(self, task);
        prop_assert_eq!(found.is_some(), self.is_on_a_cycle(task));
        if let Some(cycle) = found {
            prop_assert_eq!(cycle[0].task, task);
            for (step, next) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
                prop_assert_eq!(&step.stuck[..], &[next.task][..]);
                prop_assert_eq!(Some(step.wait), self.waiting(step.task));
            }
            prop_assert!(confirm(self, &cycle), "nothing has changed");
            self.prop_changes_are_seen(&cycle)?;
            if refuses {
                self.waiting.remove(&task);
                return Ok(());
            }
        }
        self.queue.entry(resource).or_default().push_back(task);
        Ok(())
    }

    /// With any one edge of the cycle gone, the second look says so.
    fn prop_changes_are_seen(&self, cycle: &Cycle) -> Result<(), TestCaseError> {
        for step in cycle {
            let mut granted = self.clone();
            granted.waiting.remove(&step.task);
            prop_assert!(!confirm(&granted, cycle), "{:?} waits no more", step.task);
            let mut released = self.clone();
            released.holder.remove(&step.wait.1);
            prop_assert!(!confirm(&released, cycle), "{:?} hold nothing now", step.stuck);
        }
        Ok(())
    }

    /// A task that runs gives everything up, each thing to the first that waits for it.
    fn release(&mut self, task: u8) {
        if self.waiting.contains_key(&task) {
            return;
        }
        let held: Vec<u8> =
            self.holder.iter().filter(|(_, holder)| **holder == task).map(|(held, _)| *held).collect();
        for resource in held {
            match self.queue.get_mut(&resource).and_then(VecDeque::pop_front) {
                Some(next) => {
                    self.waiting.remove(&next);
                    self.holder.insert(resource, next);
                }
                None => drop(self.holder.remove(&resource)),
            }
        }
    }

    /// A task stops waiting without having got anything.
    fn cancel(&mut self, task: u8) {
        if let Some(resource) = self.waiting.remove(&task) {
            self.queue.entry(resource).or_default().retain(|waiter| *waiter != task);
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Ask(u8, u8),
    Release(u8),
    Cancel(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let task = 0..8u8;
    let act = prop_oneof![
        6 => (task.clone(), 0..8u8).prop_map(|(task, resource)| Act::Ask(task, resource)),
        1 => task.clone().prop_map(Act::Release),
        1 => task.prop_map(Act::Cancel),
    ];
    prop::collection::vec(act, 1..120)
}

fn play(acts: &[Act], refuses: bool) -> Result<(), TestCaseError> {
    let mut table = Table::default();
    for act in acts {
        match *act {
            Act::Ask(task, resource) => table.ask(task, resource, refuses)?,
            Act::Release(task) => table.release(task),
            Act::Cancel(task) => table.cancel(task),
        }
        if refuses {
            let stuck = (0..8).find(|task| table.is_on_a_cycle(*task));
            prop_assert_eq!(stuck, None, "a cycle was let through");
        }
    }
    Ok(())
}

/// Tasks that wait for one, for all or for any of several others.
#[derive(Clone, Debug, Default)]
struct Mixed(BTreeMap<u8, Providers<u8>>);

impl WaitFor for Mixed {
    type Task = u8;
    type Wait = u8;

    fn waiting(&self, task: u8) -> Option<u8> {
        self.0.contains_key(&task).then_some(task)
    }

    fn providers(&self, wait: u8) -> Providers<u8> {
        self.0.get(&wait).cloned().unwrap_or(Providers::Open)
    }
}

impl Mixed {
    /// Who can never go on: whoever can is crossed out until nobody is left to be, in the words of Holt.
    fn dead(&self) -> BTreeSet<u8> {
        let mut dead: BTreeSet<u8> = self.0.keys().copied().collect();
        loop {
            let goes_on = |task: &&u8| match &self.0[task] {
                Providers::Open => true,
                Providers::One(one) => !dead.contains(one),
                Providers::All(all) => all.iter().all(|provider| !dead.contains(provider)),
                Providers::Any(any) => any.is_empty() || any.iter().any(|provider| !dead.contains(provider)),
            };
            let Some(live) = dead.iter().find(goes_on).copied() else { return dead };
            dead.remove(&live);
        }
    }
}

fn providers() -> impl Strategy<Value = Providers<u8>> {
    let several = || prop::collection::btree_set(0..8u8, 1..4).prop_map(|tasks| tasks.into_iter().collect());
    prop_oneof![
        1 => Just(Providers::Open),
        4 => (0..8u8).prop_map(Providers::One),
        2 => several().prop_map(Providers::All),
        4 => several().prop_map(Providers::Any),
    ]
}

proptest! {
    #![proptest_config(super::config())]

    /// A wait is reported iff petgraph finds a way back, and then no cycle ever stands.
    #[test]
    fn a_wait_is_reported_iff_it_closes_a_cycle(acts in acts()) {
        play(&acts, true)?;
    }

    /// With cycles left standing, a tail into a foreign one ends, and is not reported.
    #[test]
    fn a_tail_into_a_foreign_cycle_is_not_reported(acts in acts()) {
        play(&acts, false)?;
    }

    /// Tasks come to wait one after the other, for one, all or any of others. Who completes a deadlock by that is told
    /// so, and then none ever stands; and each wait of the report is needed for it.
    #[test]
    fn a_wait_is_reported_iff_it_leaves_a_task_that_no_reduction_frees(
        waits in prop::collection::vec((0..8u8, providers()), 1..40),
    ) {
        let mut graph = Mixed::default();
        for (task, providers) in waits {
            if graph.0.remove(&task).is_some() {
                // It was granted: a task that waits asks for nothing.
                continue;
            }
            graph.0.insert(task, providers);
            let dead = graph.dead();
            let steps = found(&graph, task);
            prop_assert_eq!(steps.is_some(), !dead.is_empty(), "{:?} of {:?}", dead, graph);
            let Some(steps) = steps else { continue };
            prop_assert_eq!(steps[0].task, task);
            prop_assert!(steps.iter().all(|step| dead.contains(&step.task)));
            prop_assert!(confirm(&graph, &steps));
            for step in &steps {
                let members = |stuck: &u8| steps.iter().any(|other| other.task == *stuck);
                prop_assert!(step.stuck.iter().all(members), "{:?} of {:?}", step, steps);
                let mut freed = graph.clone();
                freed.0.remove(&step.task);
                prop_assert!(!confirm(&freed, &steps), "{} waits no more", step.task);
            }
            graph.0.remove(&task);
        }
    }

    /// The same with all deadlocks left standing: who only waits for one is not told that it is part of it.
    #[test]
    fn who_waits_for_a_deadlock_is_no_part_of_it(
        waits in prop::collection::btree_map(0..8u8, providers(), 1..9),
    ) {
        let graph = Mixed(waits);
        let dead = graph.dead();
        for task in 0..8u8 {
            let mut without = graph.clone();
            without.0.remove(&task);
            let finding = judge(&graph, task);
            match &finding {
                Finding::Live => prop_assert!(!dead.contains(&task)),
                Finding::Deadlock(steps) => {
                    prop_assert!(dead.contains(&task));
                    // All of it dissolves when this one leaves.
                    let only = Mixed(steps.iter().map(|step| (step.task, graph.0[&step.task].clone())).collect());
                    prop_assert!(only.dead().contains(&task), "{:?}", steps);
                }
                Finding::Elsewhere => {
                    prop_assert!(dead.contains(&task));
                    prop_assert!(!without.dead().is_empty());
                }
            }
        }
    }

    /// A long tail into a long ring, and the ring itself.
    #[test]
    fn long_rings_end(tail in 0..40u8, ring in 1..200u8) {
        let mut table = Table::default();
        for task in 0..tail + ring {
            let next = if task + 1 == tail + ring { tail } else { task + 1 };
            table.holder.insert(next, next);
            table.waiting.insert(task, next);
        }
        for task in 0..tail {
            prop_assert_eq!(found(&table, task), None);
        }
        prop_assert_eq!(found(&table, tail).map(|cycle| cycle.len()), Some(usize::from(ring)));
    }
}
