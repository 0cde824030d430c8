//! A queue in blocks: it grows without moving what it holds and without room for twice as much.

use std::collections::VecDeque;

/// How many items a block holds.
const BLOCK: usize = 64;
/// How many empty blocks are kept.
const SPARE: usize = 16;

/// First in, first out, and any item can be taken out of turn.
pub(super) struct Backlog<J> {
    blocks: VecDeque<VecDeque<J>>,
    spare: Vec<VecDeque<J>>,
}

impl<J> Default for Backlog<J> {
    fn default() -> Self {
        Self { blocks: VecDeque::new(), spare: Vec::new() }
    }
}

impl<J> Backlog<J> {
    #[inline(always)]
    pub(super) fn push(&mut self, item: impl FnOnce() -> J) {
        if self.blocks.back().is_none_or(|block| block.len() == BLOCK) {
            self.add_block();
        }
        if let Some(block) = self.blocks.back_mut() {
            block.push_back(item());
        }
    }

    #[cold]
    fn add_block(&mut self) {
        // The first one grows as it is filled: most owners never have more than a few jobs at a time.
        let capacity = if self.blocks.is_empty() { 0 } else { BLOCK };
        self.blocks.push_back(self.spare.pop().unwrap_or_else(|| VecDeque::with_capacity(capacity)));
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<J> {
        let first = self.blocks.front_mut()?;
        let item = first.pop_front();
        if first.is_empty() {
            self.drop_block(0);
        }
        item
    }

    /// Takes the item at this place, counting from the first.
    pub(super) fn remove(&mut self, mut at: usize) -> Option<J> {
        let mut block = 0;
        while at >= self.blocks.get(block)?.len() {
            at -= self.blocks[block].len();
            block += 1;
        }
        let item = self.blocks[block].remove(at);
        if self.blocks[block].is_empty() {
            self.drop_block(block);
        }
        item
    }

    fn drop_block(&mut self, at: usize) {
        // The last one is the next to be filled.
        if self.blocks.len() > 1
            && let Some(empty) = self.blocks.remove(at)
            && self.spare.len() < SPARE
        {
            self.spare.push(empty);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &J> {
        self.blocks.iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.iter().map(VecDeque::len).sum()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.front().is_none_or(VecDeque::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_out_in_order_but_for_those_that_are_taken_out_of_turn() {
        let mut backlog = Backlog::default();
        for round in 0..3 {
            let mut expected: Vec<_> = (0..500).collect();
            expected.iter().for_each(|item| backlog.push(|| *item));
            for at in [0, 63, 64, 200, 400, 490] {
                assert_eq!(backlog.remove(at), Some(expected.remove(at)), "round {round}");
            }
            assert_eq!(backlog.remove(expected.len()), None);
            assert_eq!(backlog.len(), expected.len());
            assert!(backlog.iter().eq(&expected));
            assert!(std::iter::from_fn(|| backlog.pop()).eq(expected));
            assert!(backlog.is_empty());
        }
    }
}
