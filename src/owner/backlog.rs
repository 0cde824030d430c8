//! A queue in blocks: it grows without moving what it holds and without room for twice as much.

#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::mem::MaybeUninit;

/// How many items a block holds at most.
const BLOCK: usize = u64::BITS as usize;
/// How many the first one does: most owners never have more than a few jobs at a time.
const FIRST: usize = 4;
/// How many empty blocks are kept.
const SPARE: usize = 16;

/// First in, first out, and any item can be taken out of turn.
///
/// The last block stands here and not among the others: where there are few items, it is the first one too, and no
/// memory is touched but this and the places of those items.
#[repr(C)]
pub(super) struct Backlog<J> {
    last: Block<J>,
    /// Those before it. Each holds something.
    before: VecDeque<Block<J>>,
    spare: Vec<Block<J>>,
}

impl<J> Default for Backlog<J> {
    fn default() -> Self {
        Self { last: Block::new(FIRST), before: VecDeque::new(), spare: Vec::new() }
    }
}

impl<J> Backlog<J> {
    #[inline(always)]
    pub(super) fn push(&mut self, item: impl FnOnce() -> J) {
        if self.last.is_full() {
            self.add_block();
        }
        self.last.push(item);
    }

    #[cold]
    fn add_block(&mut self) {
        let next = self.spare.pop().unwrap_or_else(|| Block::new(BLOCK));
        self.before.push_back(std::mem::replace(&mut self.last, next));
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<J> {
        let Some(first) = self.before.front_mut() else { return self.last.pop() };
        let item = first.pop();
        if first.is_empty() {
            self.drop_block(0);
        }
        item
    }

    /// Takes the item at this place, counting from the first.
    pub(super) fn remove(&mut self, mut at: usize) -> Option<J> {
        for block in 0..self.before.len() {
            let length = self.before[block].len();
            if at < length {
                let item = self.before[block].remove(at);
                if self.before[block].is_empty() {
                    self.drop_block(block);
                }
                return item;
            }
            at -= length;
        }
        self.last.remove(at)
    }

    #[cold]
    fn drop_block(&mut self, at: usize) {
        if let Some(empty) = self.before.remove(at)
            && self.spare.len() < SPARE
            && empty.places.len() == BLOCK
        {
            self.spare.push(empty);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &J> {
        self.before.iter().chain([&self.last]).flat_map(Block::iter)
    }

    pub(super) fn len(&self) -> usize {
        self.before.iter().chain([&self.last]).map(Block::len).sum()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_empty() && self.before.is_empty()
    }
}

/// Some places, and which of them are taken: each item stands before those that came after it.
struct Block<J> {
    places: Box<[MaybeUninit<J>]>,
    /// A bit for each place, from the lowest. A place is initialised iff its bit is set.
    taken: u64,
}

impl<J> Block<J> {
    fn new(places: usize) -> Self {
        Self { places: Box::new_uninit_slice(places), taken: 0 }
    }

    /// The place behind the last item.
    #[inline(always)]
    fn end(&self) -> usize {
        (u64::BITS - self.taken.leading_zeros()) as usize
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.end() == self.places.len()
    }

    #[inline(always)]
    fn is_empty(&self) -> bool {
        self.taken == 0
    }

    fn len(&self) -> usize {
        self.taken.count_ones() as usize
    }

    /// Puts an item behind the last one, if that is not in the last place.
    #[inline(always)]
    fn push(&mut self, item: impl FnOnce() -> J) {
        let end = self.end();
        self.places[end].write(item());
        self.taken |= 1 << end;
    }

    #[inline(always)]
    fn pop(&mut self) -> Option<J> {
        let place = self.taken.trailing_zeros();
        (self.taken != 0).then(|| self.take(place))
    }

    fn remove(&mut self, at: usize) -> Option<J> {
        let place = self.of_items().nth(at)?;
        Some(self.take(place))
    }

    /// The item at this place, which is taken.
    #[inline(always)]
    fn take(&mut self, place: u32) -> J {
        self.taken &= !(1 << place);
        // SAFETY: the place was taken, so the item is there; now it is not, so nobody reads it again.
        unsafe { self.places[place as usize].assume_init_read() }
    }

    /// The places of the items, in order.
    fn of_items(&self) -> impl Iterator<Item = u32> + use<J> {
        let first = |taken: &u64| (*taken != 0).then(|| taken.trailing_zeros());
        let mut taken = self.taken;
        std::iter::from_fn(move || first(&taken).inspect(|place| taken &= !(1 << place)))
    }

    fn iter(&self) -> impl Iterator<Item = &J> {
        // SAFETY: the place is taken, so the item is there.
        self.of_items().map(|place| unsafe { self.places[place as usize].assume_init_ref() })
    }
}

impl<J> Drop for Block<J> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
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

    #[test]
    fn items_that_are_left_are_dropped_once() {
        let item = std::sync::Arc::new(());
        let mut backlog = Backlog::default();
        (0..500).for_each(|_| backlog.push(|| item.clone()));
        (0..100).for_each(|at| drop(backlog.remove(3 * at)));
        (0..100).for_each(|_| drop(backlog.pop()));
        drop(backlog);
        assert_eq!(std::sync::Arc::strong_count(&item), 1);
    }

    /// What is taken out of turn for ever, behind an item that stays, takes up no room.
    #[test]
    fn blocks_without_items_are_given_back() {
        let mut backlog = Backlog::default();
        backlog.push(|| 0);
        for item in 1..10_000 {
            backlog.push(|| item);
            assert_eq!(backlog.remove(1), Some(item));
            assert!(backlog.before.len() <= 1);
        }
        assert_eq!(backlog.pop(), Some(0));
    }
}
