//! A queue in blocks: it grows without moving what it holds and without room for twice as much.

use std::collections::VecDeque;

use super::about::About;
use super::block::Block;
use super::job::{Job, Popped, Seen};
use super::work::Load;

/// How many words a block has: 16 KB.
const BLOCK: u16 = 2048;
/// How many the first one has: most owners never have more than a few jobs at a time.
const FIRST: u16 = 40;
/// How many empty blocks are kept for a queue, 1 MB: what a burst takes from the heap beyond that it takes under the
/// lock, and a heap that others use too can take long; but more than the cache holds is of no use (both by
/// `impasse-bench -- posts`, where owners run in turns).
const SPARE: usize = 64;

/// First in, first out, and any job can be taken out of turn.
///
/// The last block stands here and not among the others: where there are few jobs, it is the first one too, and no
/// memory is touched but this and the places of those jobs. Before the first job there is none.
#[repr(C)]
pub(super) struct Backlog<T> {
    last: Block<T>,
    more: Option<Box<More<T>>>,
}

/// The blocks before the last. They stay apart, since an owner exchanges its backlog for another again and again.
struct More<T> {
    /// Comes before all others, if it holds something: many jobs in a row are taken from it.
    first: Block<T>,
    /// Those between the two. Each holds something.
    between: VecDeque<Block<T>>,
    spare: Vec<Block<T>>,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { last: Block::none(), more: None }
    }
}

impl<T> Backlog<T> {
    #[inline(always)]
    pub(super) fn push(&mut self, about: &About, load: impl Load<T>) {
        if self.last.is_full() {
            self.add_block();
        }
        self.last.push(about, load);
    }

    #[cold]
    fn add_block(&mut self) {
        if self.last.is_empty() {
            self.last = Block::new(FIRST);
        } else {
            let more = self.more.get_or_insert_default();
            let next = more.spare.pop().unwrap_or_else(|| Block::new(BLOCK));
            more.between.push_back(std::mem::replace(&mut self.last, next));
        }
    }

    /// Takes all jobs of the queue, for whoever has none, and leaves it the empty blocks of both.
    #[inline]
    pub(super) fn take_all(&mut self, queue: &mut Self) {
        std::mem::swap(self, queue);
        if let Some(taken) = &mut self.more {
            let left = queue.more.get_or_insert_default();
            std::mem::swap(&mut taken.spare, &mut left.spare);
            // Those that were emptied last are used first. What is too much stays where it is given back without a lock.
            let too_much = (left.spare.len() + taken.spare.len()).saturating_sub(SPARE);
            left.spare.extend(taken.spare.drain(too_much..));
        }
    }

    /// Moves the first job to where it is run; whether there is one.
    #[inline(always)]
    pub(super) fn pop(&mut self, into: &mut Job<T>) -> bool {
        self.first().pop(into)
    }

    /// See [`Block::pop_next`].
    #[inline(always)]
    pub(super) fn pop_next(&mut self, into: &mut Job<T>) -> Option<Popped> {
        self.first().pop_next(into)
    }

    /// The block that holds the first job, if any does.
    #[inline(always)]
    fn first(&mut self) -> &mut Block<T> {
        if let Some(more) = &mut self.more
            && more.goes_on()
        {
            return &mut more.first;
        }
        &mut self.last
    }

    /// Takes the job at this place, counting from the first; whether there is one.
    pub(super) fn remove(&mut self, mut at: usize, into: &mut Job<T>) -> bool {
        if let Some(more) = &mut self.more {
            let len = more.len();
            if at < len {
                return more.remove(at, into);
            }
            at -= len;
        }
        self.last.remove(at, into)
    }

    fn blocks(&self) -> impl Iterator<Item = &Block<T>> {
        self.more.iter().flat_map(|more| more.blocks()).chain([&self.last])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Seen<'_, T>> {
        self.blocks().flat_map(Block::iter)
    }

    /// The first job.
    pub(super) fn front(&self) -> Option<Seen<'_, T>> {
        let before = self.more.as_ref().and_then(|more| more.blocks().find_map(|block| block.iter().next()));
        before.or_else(|| self.last.iter().next())
    }

    pub(super) fn len(&self) -> usize {
        self.blocks().map(Block::len).sum()
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.last.is_empty() && self.more.as_ref().is_none_or(|more| more.is_empty())
    }
}

impl<T> Default for More<T> {
    fn default() -> Self {
        Self { first: Block::none(), between: VecDeque::new(), spare: Vec::new() }
    }
}

impl<T> More<T> {
    #[inline(always)]
    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.between.is_empty()
    }

    /// Whether the first block holds something; the next one takes its place if not.
    #[inline(always)]
    fn goes_on(&mut self) -> bool {
        !self.first.is_empty() || self.has_next()
    }

    #[cold]
    fn has_next(&mut self) -> bool {
        let Some(next) = self.between.pop_front() else { return false };
        let empty = std::mem::replace(&mut self.first, next);
        self.put_by(empty);
        true
    }

    fn remove(&mut self, mut at: usize, into: &mut Job<T>) -> bool {
        if at < self.first.len() {
            return self.first.remove(at, into);
        }
        at -= self.first.len();
        for block in 0..self.between.len() {
            let length = self.between[block].len();
            if at < length {
                let is_taken = self.between[block].remove(at, into);
                if self.between[block].is_empty() {
                    let empty = self.between.remove(block);
                    empty.into_iter().for_each(|empty| self.put_by(empty));
                }
                return is_taken;
            }
            at -= length;
        }
        false
    }

    /// Keeps an empty block for later, if it is worth it.
    fn put_by(&mut self, empty: Block<T>) {
        if self.spare.len() < SPARE && empty.capacity() == usize::from(BLOCK) {
            self.spare.push(empty);
        }
    }

    fn blocks(&self) -> impl Iterator<Item = &Block<T>> {
        [&self.first].into_iter().chain(&self.between)
    }

    fn len(&self) -> usize {
        self.blocks().map(Block::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::owner::panics::Backtrace;
    use crate::owner::work::{On, Post};
    use crate::wait::{Op, TaskId};

    type State = Cell<usize>;

    fn about(sender: usize) -> About {
        About::new(Op::unasked("set"), None, TaskId::from_word(sender as u64 + 1).expect("it is not 0"))
    }

    /// Who sends it: some are sent in a row.
    fn sender(item: usize) -> usize {
        item / 10 % 2
    }

    /// A job that sets the state to this. Some in a row are of one kind.
    fn push(backlog: &mut Backlog<State>, item: usize) {
        let about = about(sender(item));
        match item / 4 % 7 {
            0 => backlog.push(&about, Post(move |state: &State| state.set(item))),
            1 => backlog.push(&about, Post(move |state: &State| state.set([item, 1, 2][0]))),
            2 => backlog.push(&about, Post(captures::<5>(item))),
            3 => backlog.push(&about, Post(captures::<50>(item))),
            _ => backlog.push(&about, Post(captures::<2>(item))),
        }
    }

    fn pop<T>(backlog: &mut Backlog<T>) -> Option<Job<T>> {
        let mut job = Job::none();
        backlog.pop(&mut job).then_some(job)
    }

    fn remove<T>(backlog: &mut Backlog<T>, at: usize) -> Option<Job<T>> {
        let mut job = Job::none();
        backlog.remove(at, &mut job).then_some(job)
    }

    fn captures<const WORDS: usize>(item: usize) -> impl FnOnce(&State) + Send + 'static {
        let words = [item; WORDS];
        move |state| state.set(std::hint::black_box(&words).iter().sum::<usize>() / WORDS)
    }

    /// What the job sets the state to; it is about what it was pushed with.
    fn run(mut job: Job<State>) -> usize {
        let state = State::default();
        let on = On { op: job.about.op(), state: &state, backtrace: Backtrace::Leave };
        assert!(job.work.run(&on).is_ok());
        assert!(job.about.is_same(&about(sender(state.get()))));
        state.get()
    }

    #[test]
    fn jobs_come_out_in_order_but_for_those_that_are_taken_out_of_turn() {
        let mut backlog = Backlog::default();
        for round in 0..3 {
            let mut expected: Vec<_> = (0..1000).collect();
            expected.iter().for_each(|item| push(&mut backlog, *item));
            for at in [0, 1, 62, 63, 64, 64, 200, 400, 400, 990] {
                assert_eq!(remove(&mut backlog, at).map(run), Some(expected.remove(at)), "round {round}");
            }
            assert!(remove(&mut backlog, expected.len()).is_none());
            assert_eq!(backlog.len(), expected.len());
            let pairs = || backlog.iter().zip(expected.iter().map(|item| about(sender(*item))));
            assert_eq!(pairs().count(), expected.len());
            assert!(pairs().all(|(seen, about)| seen.about.is_same(&about)));
            assert!(std::iter::from_fn(|| pop(&mut backlog)).map(run).eq(expected));
            assert!(backlog.is_empty());
        }
    }

    #[test]
    fn jobs_that_capture_nothing_are_each_there() {
        let mut backlog = Backlog::default();
        (0..1000).for_each(|_| backlog.push(&about(0), Post(|state: &State| state.set(state.get() + 1))));
        (0..300).for_each(|at| drop(remove(&mut backlog, 2 * at)));
        assert_eq!((backlog.len(), backlog.iter().count()), (700, 700));
        let state = State::default();
        let on = On { op: Op::unasked("count"), state: &state, backtrace: Backtrace::Leave };
        std::iter::from_fn(|| pop(&mut backlog)).for_each(|mut job| assert!(job.work.run(&on).is_ok()));
        assert_eq!(state.get(), 700);
    }

    #[test]
    fn jobs_that_are_left_are_dropped_once_and_what_they_are_about_too() {
        let (item, lineage) = (Arc::new(()), Arc::default());
        let mut backlog = Backlog::<()>::default();
        for n in 0..1000 {
            let (item, sender) = (item.clone(), TaskId::from_word(1 + n / 10).expect("it is not 0"));
            let about = About::new(Op::unasked("hold"), Some(Arc::clone(&lineage)), sender);
            backlog.push(&about, Post(move |(): &()| drop(item)));
        }
        (0..200).for_each(|at| drop(remove(&mut backlog, 3 * at)));
        (0..200).for_each(|_| drop(pop(&mut backlog)));
        assert_eq!(Arc::strong_count(&item), 601);
        drop(backlog);
        assert_eq!(Arc::strong_count(&item), 1);
        assert_eq!(Arc::strong_count(&lineage), 1);
    }

    /// Where it is empty nothing holds on to those on whose behalf jobs acted.
    #[test]
    fn an_empty_backlog_holds_nothing() {
        let lineage = Arc::default();
        let mut backlog = Backlog::<()>::default();
        for at in [0, 1, 0] {
            for sender in 1..=2 {
                let sender = TaskId::from_word(sender).expect("it is not 0");
                let about = About::new(Op::unasked("hold"), Some(Arc::clone(&lineage)), sender);
                backlog.push(&about, Post(|(): &()| ()));
            }
            drop(remove(&mut backlog, at));
            drop(pop(&mut backlog));
            assert_eq!(Arc::strong_count(&lineage), 1);
        }
    }

    /// What is taken out of turn for ever, behind a job that stays, takes up no room.
    #[test]
    fn blocks_without_jobs_are_given_back() {
        let mut backlog = Backlog::default();
        push(&mut backlog, 0);
        for item in 1..10_000 {
            push(&mut backlog, item);
            assert_eq!(remove(&mut backlog, 1).map(run), Some(item));
            assert!(backlog.more.as_ref().is_none_or(|more| more.between.len() <= 1));
        }
        assert_eq!(pop(&mut backlog).map(run), Some(0));
    }

    #[test]
    fn a_queue_gets_the_empty_blocks_of_what_was_taken_from_it() {
        let (mut queue, mut batch) = (Backlog::default(), Backlog::default());
        let spare = |of: &Backlog<State>| of.more.as_ref().map_or(0, |more| more.spare.len());
        for blocks in [10, SPARE, 2 * SPARE] {
            let mut jobs = 0;
            while queue.more.as_ref().is_none_or(|more| more.between.len() <= blocks) {
                push(&mut queue, jobs);
                jobs += 1;
            }
            batch.take_all(&mut queue);
            assert!(queue.is_empty());
            assert!(std::iter::from_fn(|| pop(&mut batch)).map(run).eq(0..jobs));
            push(&mut queue, 0);
            batch.take_all(&mut queue);
            assert_eq!(pop(&mut batch).map(run), Some(0));
            // But for the first one, which is small, and the one that was emptied last.
            assert!((blocks.min(SPARE) - 2..=SPARE).contains(&spare(&queue)), "{}", spare(&queue));
            assert!(spare(&batch) <= SPARE);
        }
    }

    /// The size at which a burst of small posts goes from one processor to another.
    #[test]
    fn a_post_in_a_burst_takes_up_what_it_captured() {
        let mut backlog = Backlog::<State>::default();
        let about = about(0);
        (0..100_000_usize).for_each(|n| backlog.push(&about, Post(move |state: &State| state.set(n))));
        let words = |block: &Block<State>| block.capacity();
        let all = backlog.blocks().map(words).sum::<usize>();
        assert!(all < 100_000 * 11 / 10, "{all} words");
    }
}
