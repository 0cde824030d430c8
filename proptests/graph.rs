//! The graph, as tasks come to hold things, wait, and go on, against petgraph as the oracle.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use impasse::wait::graph::{Step, WaitFor, chase, confirm};
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

    fn provider(&self, (_, resource): (u8, u8)) -> Option<u8> {
        self.holder.get(&resource).copied()
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
        let found = chase(self, task);
        prop_assert_eq!(found.is_some(), self.is_on_a_cycle(task));
        if let Some(cycle) = found {
            prop_assert_eq!(cycle[0].task, task);
            for (step, next) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
                prop_assert_eq!(step.provider, next.task);
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
    fn prop_changes_are_seen(&self, cycle: &Vec<Step<u8, (u8, u8)>>) -> Result<(), TestCaseError> {
        for step in cycle {
            let mut granted = self.clone();
            granted.waiting.remove(&step.task);
            prop_assert!(!confirm(&granted, cycle), "{:?} waits no more", step.task);
            let mut released = self.clone();
            released.holder.remove(&step.wait.1);
            prop_assert!(!confirm(&released, cycle), "{:?} holds nothing now", step.provider);
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
            prop_assert_eq!(chase(&table, task), None);
        }
        prop_assert_eq!(chase(&table, tail).map(|cycle| cycle.len()), Some(usize::from(ring)));
    }
}
