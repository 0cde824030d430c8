//! The upper part of the tree, shared by all workers; below it each explores by itself.
//!
//! The crown holds every node above a depth D, and every node of a path that leads to an item of work. An item is
//! a node at which an inserted sequence ends (or the root): what follows it is free, nothing is asleep there, and
//! one worker explores all of it. A reversal that leads to a node of the crown is put there: it walks the
//! siblings to the right of where it came from, goes down where one is a weak initial of what is left of it, is
//! absorbed at a free node, and otherwise becomes a new path with a new item at its end.
//!
//! Children are only ever appended, so what stands to the left of a node never changes, and the sleep sets along
//! a path can be computed again by whoever walks it. A node retires, to become a mere sleeper, when all work in it
//! and in everything to its left is done; the order keeps the memory flat.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::mutants::{self, Mutant};
use super::search::{Move, Race, Search};

const ROOT: u32 = 0;
const NOBODY: u32 = u32::MAX;

#[derive(Debug)]
struct Node {
    parent: u32,
    step: Move,
    children: Vec<u32>,
    /// Steps of children that have retired.
    gone: Vec<Move>,
    /// Everything that follows is explored by the item of work that this node belongs to.
    free: bool,
    claimed: bool,
    /// Items in it that are not done.
    work: u32,
}

#[derive(Debug)]
struct Tree {
    nodes: Vec<Node>,
    unused: Vec<u32>,
    pending: VecDeque<u32>,
    busy: usize,
    stopped: bool,
}

/// The shared tree.
#[derive(Debug)]
pub(super) struct Crown {
    tree: Mutex<Tree>,
    changed: Condvar,
    depth: usize,
    /// Some execution had a wait that was refused because it closed a cycle.
    cycles: AtomicBool,
}

/// An item of work that a worker has claimed.
#[derive(Debug)]
pub(super) struct Item {
    /// The nodes of the path, from the root.
    path: Vec<u32>,
    /// How deep the item's own node is.
    begins: usize,
    /// The path has been extended by what the first execution chose freely.
    extended: bool,
    /// Siblings to the right of the path at each depth, as last seen: their steps, and whether they are free.
    right: Vec<Vec<(Move, bool)>>,
    /// Reversals that were put into the crown already.
    sent: HashSet<u64>,
}

impl Item {
    /// The depth from which on everything is the worker's own.
    pub(super) fn floor(&self) -> usize {
        self.path.len() - 1
    }
}

impl Crown {
    pub(super) fn new(depth: usize) -> Self {
        let mut tree =
            Tree { nodes: Vec::new(), unused: Vec::new(), pending: VecDeque::new(), busy: 0, stopped: false };
        let nothing = Move { task: 0, touch: super::dependence::Touch::NOTHING };
        let root = tree.add(NOBODY, nothing, true);
        tree.nodes[root as usize].work = 1;
        tree.pending.push_back(root);
        Self { tree: Mutex::new(tree), changed: Condvar::new(), depth, cycles: AtomicBool::new(false) }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest item nobody has claimed, once there is one; none if all is done or stopped. Sets the search
    /// on the path to it.
    pub(super) fn claim(&self, search: &mut Search) -> Option<Item> {
        let mut tree = self.tree();
        let node = loop {
            if tree.stopped {
                return None;
            }
            if let Some(node) = tree.pending.pop_front() {
                break node;
            }
            if tree.busy == 0 {
                self.changed.notify_all();
                return None;
            }
            tree = self.changed.wait(tree).unwrap_or_else(PoisonError::into_inner);
        };
        tree.busy += 1;
        let path = tree.path_to(node);
        let mut left = Vec::new();
        for pair in path.windows(2) {
            let parent = &tree.nodes[pair[0] as usize];
            let siblings = parent.children.iter().take_while(|child| **child != pair[1]);
            let asleep = siblings
                .map(|child| &tree.nodes[*child as usize])
                .filter(|sibling| !(mutants::is(Mutant::ClaimedIsAwake) && sibling.work > 0));
            left.push(parent.gone.iter().copied().chain(asleep.map(|sibling| sibling.step)).collect());
        }
        for node in &path {
            tree.nodes[*node as usize].claimed = true;
        }
        let steps = path[1..].iter().map(|node| tree.nodes[*node as usize].step).collect();
        search.begin(steps, left);
        let begins = path.len() - 1;
        Some(Item { path, begins, extended: false, right: Vec::new(), sent: HashSet::new() })
    }

    /// Sends the races of the last execution where they belong: below the crown into the search itself, in the
    /// crown to whoever comes.
    pub(super) fn reverse_races(&self, item: &mut Item, search: &mut Search) {
        if search.closes {
            self.cycles.store(true, Ordering::Relaxed);
        }
        if !item.extended {
            self.extend(item, search);
        }
        for second in search.racing() {
            for nth in 0.. {
                let Some(race) = search.race_of(second, nth) else { break };
                if race.first >= item.floor() {
                    search.insert(race);
                } else if !search.is_asleep(race) {
                    self.send(item, search, race);
                }
            }
        }
    }

    /// After the first execution of an item: the crown reaches down to its depth.
    fn extend(&self, item: &mut Item, search: &mut Search) {
        item.extended = true;
        search.arrived();
        // Where waits are refused, what was a cycle when the sequence was made may be none when it is played: then a
        // sleeper that depended on it sleeps on, as it should.
        assert!(
            self.cycles.load(Ordering::Relaxed)
                || item.begins >= search.len()
                || search.nodes[item.begins].sleep.is_empty(),
            "something is asleep where an inserted sequence ended"
        );
        let mut tree = self.tree();
        for depth in item.begins..item.begins.max(self.depth).min(search.len()) {
            let parent = *item.path.last().expect("the root is always there");
            let node = tree.add(parent, search.nodes[depth].event.step, true);
            tree.nodes[node as usize].claimed = true;
            tree.nodes[node as usize].work = 1;
            tree.nodes[parent as usize].children.push(node);
            item.path.push(node);
        }
    }

    /// Puts the reversal of a race into the crown.
    fn send(&self, item: &mut Item, search: &Search, race: Race) {
        let at = race.first;
        item.right.resize(item.right.len().max(at + 1), Vec::new());
        // Most reversals have been seen before: no lock for those.
        let comes_first = |step: Move| search.weak_initial(search.reversed(race), step).is_some();
        let known = item.right[at].iter().find(|(step, _)| comes_first(*step));
        if known.is_some_and(|(_, free)| *free) || !item.sent.insert(fingerprint(search, race)) {
            return;
        }
        let mut tree = self.tree();
        let (from, child) = (item.path[at], item.path[at + 1]);
        let mut sequence = Vec::new();
        search.sequence(race, &mut sequence);
        let added = tree.insert(search, from, child, sequence);
        let siblings = tree.nodes[from as usize].children.iter().skip_while(|node| **node != child).skip(1);
        let seen = siblings.map(|node| &tree.nodes[*node as usize]).map(|node| (node.step, node.free));
        item.right[at] = seen.collect();
        drop(tree);
        if added {
            self.changed.notify_one();
        }
    }

    /// The item is done.
    pub(super) fn finish(&self, item: &Item) {
        let mut tree = self.tree();
        tree.count(*item.path.last().expect("the root is always there"), -1);
        tree.retire();
        tree.busy -= 1;
        if tree.busy == 0 && tree.pending.is_empty() {
            self.changed.notify_all();
        }
    }

    /// What share of the search is done, if the work at each node is divided evenly among the branches known by
    /// now (D. E. Knuth, "Estimating the Efficiency of Backtrack Programs", Mathematics of Computation 29, 1975).
    pub(super) fn share_done(&self) -> f64 {
        self.tree().share_done(ROOT)
    }

    /// Nobody claims anything any more.
    pub(super) fn stop(&self) {
        self.tree().stopped = true;
        self.changed.notify_all();
    }
}

impl Tree {
    fn add(&mut self, parent: u32, step: Move, free: bool) -> u32 {
        let node =
            Node { parent, step, children: Vec::new(), gone: Vec::new(), free, claimed: false, work: 0 };
        match self.unused.pop() {
            Some(place) => {
                self.nodes[place as usize] = node;
                place
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        }
    }

    fn share_done(&self, node: u32) -> f64 {
        let at = &self.nodes[node as usize];
        let branches = at.gone.len() + at.children.len();
        let open: f64 = at.children.iter().map(|child| self.share_done(*child)).sum();
        if branches == 0 { 0.0 } else { (at.gone.len() as f64 + open) / branches as f64 }
    }

    fn path_to(&self, node: u32) -> Vec<u32> {
        let up = |node: &u32| Some(self.nodes[*node as usize].parent).filter(|parent| *parent != NOBODY);
        let mut path: Vec<_> = std::iter::successors(Some(node), up).collect();
        path.reverse();
        path
    }

    /// Adds to the work in a node and in all above it.
    fn count(&mut self, mut node: u32, change: i32) {
        while node != NOBODY {
            let at = &mut self.nodes[node as usize];
            at.work = at.work.checked_add_signed(change).expect("work is done once");
            node = at.parent;
        }
    }

    fn insert(&mut self, search: &Search, from: u32, child: u32, mut sequence: Vec<usize>) -> bool {
        let mut at = from;
        let place = self.nodes[at as usize].children.iter().position(|node| *node == child);
        let mut right_of = place.expect("the path goes through it") + 1;
        loop {
            let siblings = self.nodes[at as usize].children[right_of..].iter();
            let down = siblings.copied().find_map(|node| {
                let step = self.nodes[node as usize].step;
                search.weak_initial(sequence.iter().copied(), step).map(|place| (node, place))
            });
            let Some((node, place)) = down else { break };
            if let Some(place) = place {
                sequence.remove(place);
            }
            let node_is = &self.nodes[node as usize];
            if node_is.free || sequence.is_empty() {
                return false;
            }
            if mutants::is(Mutant::DropAtClaimed) && node_is.claimed {
                return false;
            }
            (at, right_of) = (node, 0);
        }
        for (k, place) in sequence.iter().enumerate() {
            let node = self.add(at, search.nodes[*place].event.step, k + 1 == sequence.len());
            self.nodes[at as usize].children.push(node);
            at = node;
        }
        self.count(at, 1);
        self.pending.push_back(at);
        true
    }

    /// Retires what is done, from the left, at every level.
    fn retire(&mut self) {
        if mutants::is(Mutant::RetireInAnyOrder) {
            return self.retire_below(ROOT);
        }
        let mut at = ROOT;
        while let Some(first) = self.nodes[at as usize].children.first().copied() {
            if self.nodes[first as usize].work == 0 {
                self.retire_one(first);
            } else {
                at = first;
            }
        }
    }

    /// The mutant: whatever is done, wherever it stands.
    fn retire_below(&mut self, node: u32) {
        for child in self.nodes[node as usize].children.clone() {
            match self.nodes[child as usize].work {
                0 => self.retire_one(child),
                _ => self.retire_below(child),
            }
        }
    }

    fn retire_one(&mut self, node: u32) {
        let (parent, step) = (self.nodes[node as usize].parent as usize, self.nodes[node as usize].step);
        self.nodes[parent].gone.push(step);
        self.nodes[parent].children.retain(|child| *child != node);
        self.free(node);
    }

    fn free(&mut self, node: u32) {
        for child in std::mem::take(&mut self.nodes[node as usize].children) {
            self.free(child);
        }
        self.unused.push(node);
    }
}

/// A number for the reversal at this depth (FNV-1a); two that share it by accident would lose one, with a
/// probability of one in 2^64 for each pair.
fn fingerprint(search: &Search, race: Race) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |value: u64| {
        hash = (hash ^ value).wrapping_mul(0x100_0000_01b3);
        hash ^= hash >> 29;
    };
    add(race.first as u64);
    for place in search.reversed(race) {
        let event = &search.nodes[place].event;
        add(u64::from(event.step.task) << 32 | event.nth as u64);
        add(u64::from(event.step.touch.object) << 8 | event.step.touch.kind as u64);
    }
    hash
}
