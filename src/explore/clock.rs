//! Vector clocks: which events have happened before which.

/// How many tasks one exploration can tell apart.
pub(super) const TASKS: usize = 32;

/// How many events of each task have happened for somebody (C. Fidge and F. Mattern, 1988).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(align(16))]
pub(super) struct Clock([i16; TASKS]);

impl Clock {
    /// Nothing has happened.
    pub(super) const ZERO: Self = Self([0; TASKS]);

    /// What has happened for `other` has happened here too.
    #[inline]
    pub(super) fn join(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).max(*theirs);
        }
    }

    /// Whether it is the same clock; all of it at once, without a branch.
    #[inline]
    fn is(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |differs, (mine, theirs)| differs | (mine ^ theirs)) == 0
    }

    /// One more event of this task; returns its number.
    #[inline]
    pub(super) fn tick(&mut self, task: u8) -> i16 {
        // All of them at once: a clock is copied as a whole soon after, and would wait for a single one's store.
        for (of, n) in self.0.iter_mut().enumerate() {
            *n += i16::from(of == task as usize);
        }
        self.0[task as usize]
    }

    /// All of it, in words.
    pub(super) fn words(&self) -> impl Iterator<Item = u64> {
        self.0.chunks_exact(4).map(|four| four.iter().fold(0, |word, n| word << 16 | u64::from(*n as u16)))
    }

    /// Whether the `n`th event of `task` has happened.
    #[inline]
    pub(super) fn knows(&self, task: u8, n: i16) -> bool {
        // (No bound to check.)
        self.0[task as usize % TASKS] >= n
    }
}

/// The place of the clock of one to whom nothing has happened.
pub(super) const NOTHING: u32 = 0;

/// All clocks of an execution, which stay as they are: what has happened for a task is a place here, and so is what had
/// happened when something was handed over. Most of what tasks learn is known as a whole to one of the two, and then
/// nothing is copied.
///
/// First come those of the steps that are known beforehand, which stay from one execution to the next.
#[derive(Debug)]
pub(super) struct Clocks(Vec<Clock>);

impl Default for Clocks {
    fn default() -> Self {
        Self(vec![Clock::ZERO])
    }
}

impl Clocks {
    /// Nothing has happened. So many steps are known.
    pub(super) fn begin_anew(&mut self, known: usize) {
        self.0.truncate(1 + known);
    }

    /// The place of what has happened when this known step has.
    #[inline]
    pub(super) const fn of_known(step: u32) -> u32 {
        1 + step
    }

    #[inline]
    pub(super) fn at(&self, place: u32) -> &Clock {
        &self.0[place as usize]
    }

    #[inline]
    pub(super) fn add(&mut self, clock: Clock) -> u32 {
        self.0.push(clock);
        (self.0.len() - 1) as u32
    }

    /// What has happened here or there.
    #[inline]
    pub(super) fn join(&mut self, a: u32, b: u32) -> u32 {
        if a == b || b == NOTHING { a } else { self.of_both(a, b) }
    }

    fn of_both(&mut self, a: u32, b: u32) -> u32 {
        let (of_a, of_b) = (self.at(a), self.at(b));
        let mut both = *of_a;
        both.join(of_b);
        match (both.is(of_b), both.is(of_a)) {
            (true, _) => b,
            (_, true) => a,
            _ => self.add(both),
        }
    }
}
