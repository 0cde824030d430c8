//! Branches that are still to be taken: ordered trees of steps, all of them in one vector.
//!
//! A tree is known by the place of its first branch. Searches make and take one branch for nearly every step of
//! every execution, so places are used again and nothing is allocated.

use std::ops::Index;

use super::search::Move;

/// No branch: the empty tree.
pub(super) const NO_BRANCH: u32 = u32::MAX;

/// A branch to take, and what to take after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch {
    pub(super) step: Move,
    /// The first of those that follow it.
    pub(super) then: u32,
    /// The one to its right.
    pub(super) next: u32,
}

#[derive(Debug)]
pub(super) struct Branches {
    all: Vec<Branch>,
    /// The first of the places to be used again, which are linked by `next`.
    unused: u32,
}

impl Index<u32> for Branches {
    type Output = Branch;

    #[inline]
    fn index(&self, branch: u32) -> &Branch {
        &self.all[branch as usize]
    }
}

impl Branches {
    pub(super) fn new() -> Self {
        Self { all: Vec::new(), unused: NO_BRANCH }
    }

    /// Forgets every tree.
    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.unused = NO_BRANCH;
    }

    /// A sequence as a tree that does not branch.
    pub(super) fn chain(&mut self, steps: impl DoubleEndedIterator<Item = Move>) -> u32 {
        steps.rev().fold(NO_BRANCH, |then, step| self.add(Branch { step, then, next: NO_BRANCH }))
    }

    fn add(&mut self, branch: Branch) -> u32 {
        let place = self.unused;
        match self.all.get_mut(place as usize) {
            Some(unused) => {
                self.unused = unused.next;
                *unused = branch;
                place
            }
            None => {
                self.all.push(branch);
                (self.all.len() - 1) as u32
            }
        }
    }

    /// What comes to the right of `last`, which has had nothing there.
    pub(super) fn append(&mut self, last: u32, tree: u32) {
        debug_assert!(self[last].next == NO_BRANCH);
        self.all[last as usize].next = tree;
    }

    /// Takes away what follows a branch.
    pub(super) fn take_then(&mut self, branch: u32) -> u32 {
        std::mem::replace(&mut self.all[branch as usize].then, NO_BRANCH)
    }

    /// Takes away the first branch, whose followers have been taken away; returns what is left of the tree.
    pub(super) fn take_first(&mut self, first: u32) -> u32 {
        debug_assert!(self[first].then == NO_BRANCH);
        let next = std::mem::replace(&mut self.all[first as usize].next, self.unused);
        self.unused = first;
        next
    }
}
