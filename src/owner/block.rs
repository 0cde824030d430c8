//! Jobs behind each other in one piece of memory, each as long as what it captured and a word.
//!
//! Where jobs stream they go from the processor that posts to that of the owner, and how fast they go is how short they
//! are. What they are about (`about.rs`) is written only where it is not what it was for the job before: a burst of
//! posts from one line of one thread says it once in each block.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::num::NonZeroU16;

use super::about::About;
use super::job::{Job, Plain, Popped, Seen};
use super::work::{self, Kind, Load, MOST, Word, Work};
use crate::platform;

/// How long what jobs are about is, in words.
const ABOUT: usize = {
    assert!(align_of::<About>() <= align_of::<Word>());
    size_of::<About>().div_ceil(size_of::<Word>())
};
/// How long one push can be: what the job is about, and the job, each with a word that says what it is.
const LONGEST: usize = 1 + ABOUT + 1 + MOST;

/// How far ahead of a push memory is fetched, in words.
const AHEAD: usize = 32;

/// Some words, and the jobs that stand in them.
///
/// ```text
///   | about | job | job | one that was taken out of turn | about | job |          |
///       ^      ^                                             ^           ^
///     first  start                                         last         end
/// ```
///
/// From `start` to `end` one record stands behind the other: a word that says what follows, and that. A job is about
/// what was written last before it; that stays there until no job can be about it. A block without jobs is empty.
pub(super) struct Block<T> {
    words: Box<[Word]>,
    start: u16,
    end: u16,
    jobs: u16,
    /// What the job at `start` is about, if that comes before it; what the one before `end` is. Never at 0: there stands
    /// the word that says so.
    first: Option<NonZeroU16>,
    last: Option<NonZeroU16>,
    of: PhantomData<Work<T>>,
}

/// What a word says of those that follow.
enum Record<T> {
    /// What the next jobs are about.
    About,
    Job(*const Kind<T>),
    /// A job was there.
    Gone(*const Kind<T>),
}

impl<T> Record<T> {
    /// # Safety
    ///
    /// The word is the caller's to write to.
    #[inline(always)]
    unsafe fn write(&self, word: *mut Word) {
        const { assert!(align_of::<Kind<T>>() > 1 && size_of::<*const Kind<T>>() <= size_of::<Word>()) };
        let said = match *self {
            Self::About => std::ptr::null(),
            Self::Job(kind) => kind,
            // Kinds stand at even addresses.
            Self::Gone(kind) => kind.wrapping_byte_add(1),
        };
        // SAFETY: the caller's contract.
        unsafe { word.cast::<*const Kind<T>>().write(said) };
    }

    /// # Safety
    ///
    /// One was written to this word.
    #[inline(always)]
    unsafe fn read(word: *const Word) -> Self {
        // SAFETY: the caller's contract.
        let said = unsafe { word.cast::<*const Kind<T>>().read() };
        match said.addr() {
            0 => Self::About,
            odd if odd % 2 == 1 => Self::Gone(said.wrapping_byte_sub(1)),
            _ => Self::Job(said),
        }
    }

    /// How many words it takes up, with its own.
    ///
    /// # Safety
    ///
    /// The kind comes from [`work::write`].
    #[inline(always)]
    unsafe fn length(&self) -> u16 {
        let words = match *self {
            Self::About => ABOUT,
            // SAFETY: the caller's contract.
            Self::Job(kind) | Self::Gone(kind) => unsafe { work::length(kind) },
        };
        1 + words as u16
    }
}

impl<T> Block<T> {
    /// One of so many words, which are enough for a job.
    pub(super) fn new(words: u16) -> Self {
        assert!(usize::from(words) >= LONGEST);
        Self::of(Box::new_uninit_slice(words.into()))
    }

    /// One of no words: it is full, and empty.
    pub(super) fn none() -> Self {
        Self::of(Box::default())
    }

    fn of(words: Box<[Word]>) -> Self {
        Self { words, start: 0, end: 0, jobs: 0, first: None, last: None, of: PhantomData }
    }

    pub(super) fn capacity(&self) -> usize {
        self.words.len()
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.into()
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.jobs == 0
    }

    /// Whether there may be no room for one more job.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        usize::from(self.end) + LONGEST > self.words.len()
    }

    /// Puts a job behind the last one, in a block that is not full.
    #[inline(always)]
    pub(super) fn push(&mut self, about: &About, load: impl Load<T>) {
        assert!(!self.is_full());
        // SAFETY: `last` is where the last one was written.
        let is_said = self.last.is_some_and(|last| unsafe { self.about(last) }.is_same(about));
        if !is_said {
            self.begin_about(about.clone());
        }
        // SAFETY: of the `LONGEST` words that were free, what the job is about has taken its part at most.
        unsafe {
            let word = self.words.as_mut_ptr().add(self.end.into());
            let record = Record::Job(work::write(word.add(1), load));
            record.write(word);
            // Where jobs stream, the lock waits until they are written, and they are not before their memory is here.
            platform::fetch_line(word.wrapping_add(AHEAD).cast());
            self.end += record.length();
        }
        self.jobs += 1;
    }

    /// Says what the next jobs are about. For `push`, which has seen that there is room.
    fn begin_about(&mut self, about: About) {
        // SAFETY: there are free words, and they are aligned for it.
        unsafe {
            let record = Record::<T>::About;
            let word = self.words.as_mut_ptr().add(self.end.into());
            record.write(word);
            word.add(1).cast::<About>().write(about);
            self.last = NonZeroU16::new(self.end + 1);
            self.end += record.length();
        }
    }

    /// Moves the first job to where it is run; whether there is one.
    #[inline(always)]
    pub(super) fn pop(&mut self, into: &mut Job<T>) -> bool {
        let Some((about, kind)) = self.go_to_first() else { return false };
        // SAFETY: what a job is about stays there for as long as the job.
        into.about = unsafe { self.about(about) }.clone();
        // SAFETY: it is the first one.
        unsafe { self.take_first(kind, &mut into.work) };
        true
    }

    /// Moves the first job to where it is run, if there is one, or as much of it as is needed for that.
    #[inline(always)]
    pub(super) fn pop_next(&mut self, into: &mut Job<T>) -> Option<Popped> {
        let (about, kind) = self.go_to_first()?;
        // SAFETY: what a job is about stays there for as long as the job, and that is of this kind.
        let (about, is_promise) = unsafe { (self.about(about), work::is_promise(kind)) };
        let popped = if is_promise || about.lineage().is_some() {
            into.about = about.clone();
            Popped::Job
        } else {
            about.witness();
            Popped::Plain(Plain { op: about.op(), queued_at: about.queued_at() })
        };
        // SAFETY: it is the first one.
        unsafe { self.take_first(kind, &mut into.work) };
        Some(popped)
    }

    /// Goes on to the first job; says what it is about, and its kind.
    #[inline(always)]
    fn go_to_first(&mut self) -> Option<(NonZeroU16, *const Kind<T>)> {
        while !self.is_empty() {
            // SAFETY: there is a job at `start` or behind it, so a record is there, as `push` wrote it.
            let record = unsafe { self.record(self.start) };
            match record {
                Record::About => self.forget_until(self.start + 1),
                Record::Gone(_) => {}
                Record::Job(kind) => return Some((self.first?, kind)),
            }
            // SAFETY: as above.
            self.start += unsafe { record.length() };
        }
        None
    }

    /// # Safety
    ///
    /// `go_to_first` says that its kind is this.
    #[inline(always)]
    unsafe fn take_first(&mut self, kind: *const Kind<T>, into: &mut Work<T>) {
        let at = self.start;
        // SAFETY: `push` wrote the kind.
        self.start += unsafe { Record::Job(kind).length() };
        // SAFETY: `start` has passed it, so nobody takes it again.
        unsafe { self.take(at, kind, into) };
    }

    /// No job is about what was written before this place.
    fn forget_until(&mut self, at: u16) {
        if let Some(before) = std::mem::replace(&mut self.first, NonZeroU16::new(at)) {
            // SAFETY: it was written there, and nobody knows of it any more.
            unsafe { self.words.as_mut_ptr().add(before.get().into()).cast::<About>().drop_in_place() };
        }
    }

    /// Takes the job at this place, counting from the first; whether there is one.
    pub(super) fn remove(&mut self, at: usize, into: &mut Job<T>) -> bool {
        let Some((about, at, kind)) = self.places().nth(at) else { return false };
        // SAFETY: the word stands there; from now on it says that the job has gone, so nobody takes it again.
        unsafe {
            into.about = self.about(about).clone();
            Record::Gone(kind).write(self.words.as_mut_ptr().add(at.into()));
            self.take(at, kind, &mut into.work);
        }
        true
    }

    /// # Safety
    ///
    /// The job of this kind is there, and nobody takes it again.
    #[inline(always)]
    unsafe fn take(&mut self, at: u16, kind: *const Kind<T>, into: &mut Work<T>) {
        // SAFETY: the caller's contract. Behind the word of a job there are `MOST` more: when it was pushed it could
        // have been as long as that.
        unsafe { into.take(kind, self.words.as_ptr().add(usize::from(at) + 1)) };
        self.jobs -= 1;
        if self.is_empty() {
            self.clear();
        }
    }

    /// There is no job any more, only what some were about.
    fn clear(&mut self) {
        while self.start < self.end {
            // SAFETY: before `end` there is a record, as `push` wrote it.
            let record = unsafe { self.record(self.start) };
            if let Record::About = record {
                self.forget_until(self.start + 1);
            }
            // SAFETY: as above.
            self.start += unsafe { record.length() };
        }
        self.forget_until(0);
        (self.start, self.end, self.last) = (0, 0, None);
    }

    /// # Safety
    ///
    /// There is one at this place.
    #[inline(always)]
    unsafe fn record(&self, at: u16) -> Record<T> {
        // SAFETY: the caller's contract.
        unsafe { Record::read(self.words.as_ptr().add(at.into())) }
    }

    /// # Safety
    ///
    /// It is written there.
    #[inline(always)]
    unsafe fn about(&self, at: NonZeroU16) -> &About {
        // SAFETY: the caller's contract.
        unsafe { &*self.words.as_ptr().add(at.get().into()).cast::<About>() }
    }

    /// Where what each job is about is written, and where the job stands.
    fn places(&self) -> impl Iterator<Item = (NonZeroU16, u16, *const Kind<T>)> + '_ {
        let (mut at, mut about) = (self.start, self.first);
        std::iter::from_fn(move || {
            while at < self.end {
                let here = at;
                // SAFETY: from `start` to `end` one record stands behind the other, as `push` wrote them.
                let record = unsafe { self.record(here) };
                // SAFETY: as above.
                at += unsafe { record.length() };
                match record {
                    Record::About => about = NonZeroU16::new(here + 1),
                    Record::Gone(_) => {}
                    Record::Job(kind) => return Some((about?, here, kind)),
                }
            }
            None
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Seen<'_, T>> {
        self.places().map(|(about, at, kind)| {
            // SAFETY: the job is there, and stays there for as long as it is seen.
            unsafe {
                let words = self.words.as_ptr().add(usize::from(at) + 1);
                Seen { about: self.about(about), promise: work::promise_of(kind, words) }
            }
        })
    }
}

impl<T> Drop for Block<T> {
    fn drop(&mut self) {
        if !self.is_empty() {
            let mut job = Job::none();
            while self.pop(&mut job) {
                job.work.discard();
            }
        }
    }
}
