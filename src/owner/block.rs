//! Jobs behind each other in one piece of memory, each as long as what it captured.
//!
//! Where jobs stream they go from the processor that posts to that of the owner, and how fast they go is how short they
//! are. What they are about (`about.rs`) and of which kind they are (`work.rs`) is written only where it is not what it
//! was for the job before: a burst of posts from one line of one thread says it once in each block.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::num::NonZeroU16;

use super::about::About;
use super::job::{Job, Plain, Popped, Seen};
use super::work::{self, Kind, Load, MOST, Word, Work};

/// What stands before jobs that are all about the same and of one kind.
struct Heading<T> {
    about: About,
    kind: *const Kind<T>,
    /// How many words those jobs take up, once another heading follows.
    length: u16,
}

/// How long a heading is, in words.
const HEADING: u16 = {
    assert!(align_of::<Heading<()>>() <= align_of::<Word>());
    size_of::<Heading<()>>().div_ceil(size_of::<Word>()) as u16
};
/// How long one push can be.
const LONGEST: usize = HEADING as usize + MOST;

/// Some words, and the jobs that stand in them.
///
/// ```text
///   | heading | job | job | job | job | heading | job | job |           |
///             ^           ^                     ^           ^
///           first       start                  last        end
/// ```
///
/// From `start` to `end` there is nothing but jobs and their headings. A heading stays where it is until no job can be
/// under it. A block without jobs is empty.
pub(super) struct Block<T> {
    words: Box<[Word]>,
    start: u16,
    end: u16,
    jobs: u16,
    /// Behind the heading of the job at `start`, if that comes before it; behind the last heading. Never at 0.
    first: Option<NonZeroU16>,
    last: Option<NonZeroU16>,
    of: PhantomData<Work<T>>,
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
        let kind = work::kind_of(&load);
        // SAFETY: `last` is where the last one was written.
        let is_said = self.last.is_some_and(|last| unsafe { self.heading(last) }.says(about, kind));
        if !is_said {
            self.begin(Heading { about: about.clone(), kind, length: 0 });
        }
        // SAFETY: of the `LONGEST` words that were free, the heading has taken its part at most.
        unsafe {
            let words = self.words.as_mut_ptr().add(self.end.into());
            work::write(words, load);
            self.end += work::length(kind);
        }
        self.jobs += 1;
    }

    /// Writes a heading for the next jobs. For `push`, which has seen that there is room.
    fn begin(&mut self, heading: Heading<T>) {
        if let Some(last) = self.last {
            // SAFETY: it is where the last one was written.
            unsafe { self.heading_mut(last) }.length = self.end - last.get();
        }
        // SAFETY: there are free words, and they are aligned for it.
        unsafe { self.words.as_mut_ptr().add(self.end.into()).cast::<Heading<T>>().write(heading) };
        self.end += HEADING;
        self.last = NonZeroU16::new(self.end);
    }

    /// Moves the first job to where it is run; whether there is one.
    #[inline(always)]
    pub(super) fn pop(&mut self, into: &mut Job<T>) -> bool {
        let Some(section) = self.go_to_first() else { return false };
        // SAFETY: a heading stays there for as long as its jobs.
        into.about = unsafe { self.heading(section) }.about.clone();
        self.take_first(section, &mut into.work);
        true
    }

    /// Moves the first job to where it is run, if there is one, or as much of it as is needed for that.
    #[inline(always)]
    pub(super) fn pop_next(&mut self, into: &mut Job<T>) -> Option<Popped> {
        let section = self.go_to_first()?;
        // SAFETY: a heading stays there for as long as its jobs.
        let Heading { about, kind, .. } = unsafe { self.heading(section) };
        // SAFETY: kinds stand in headings.
        let popped = if unsafe { work::is_promise(*kind) } || about.lineage().is_some() {
            into.about = about.clone();
            Popped::Job
        } else {
            about.witness();
            Popped::Plain(Plain { op: about.op(), queued_at: about.queued_at() })
        };
        self.take_first(section, &mut into.work);
        Some(popped)
    }

    /// Goes on to the first job; says behind which heading it stands.
    #[inline(always)]
    fn go_to_first(&mut self) -> Option<NonZeroU16> {
        while !self.is_empty() {
            match self.first {
                // SAFETY: its heading stays there until the next one is gone on to.
                Some(first) if self.start < unsafe { self.end_of(first) } => return Some(first),
                _ => self.go_to_next_heading(),
            }
        }
        None
    }

    /// At `start` there is no job, but a heading.
    fn go_to_next_heading(&mut self) {
        self.forget_first();
        self.start += HEADING;
        self.first = NonZeroU16::new(self.start);
    }

    /// No job is behind the first heading any more.
    fn forget_first(&mut self) {
        if let Some(first) = self.first.take() {
            // SAFETY: it was written there, and nobody knows of it any more.
            unsafe { std::ptr::from_mut(self.heading_mut(first)).drop_in_place() };
        }
    }

    /// Takes the first job, which is behind this heading.
    #[inline(always)]
    fn take_first(&mut self, section: NonZeroU16, into: &mut Work<T>) {
        let at = self.start;
        // SAFETY: it is there, and `start` passes it, so nobody takes it again.
        unsafe {
            self.start += work::length(self.heading(section).kind);
            self.take(section, at, into);
        }
        self.clear_if_empty();
    }

    /// Takes the job at this place, counting from the first; whether there is one. What is behind it closes up.
    pub(super) fn remove(&mut self, at: usize, into: &mut Job<T>) -> bool {
        let Some((section, at)) = self.places().nth(at) else { return false };
        // SAFETY: it is there, and what is behind it comes to its place, so nobody takes it again. Of the headings there
        // the last one is known by where it is, and the others are found by the length of what is before them.
        unsafe {
            let Heading { about, kind, .. } = self.heading(section);
            into.about = about.clone();
            let length = work::length(*kind);
            self.take(section, at, &mut into.work);
            let place = self.words.as_mut_ptr().add(at.into());
            place.add(length.into()).copy_to(place, (self.end - at - length).into());
            self.end -= length;
            if self.last != Some(section) {
                self.heading_mut(section).length -= length;
                self.last = self.last.and_then(|last| NonZeroU16::new(last.get() - length));
            }
        }
        self.clear_if_empty();
        true
    }

    /// # Safety
    ///
    /// There is a job at this place, behind this heading, and nobody takes it again.
    #[inline(always)]
    unsafe fn take(&mut self, section: NonZeroU16, at: u16, into: &mut Work<T>) {
        // SAFETY: the caller's contract. From where a job begins there are `MOST` words: when it was pushed it could have
        // been as long as that.
        unsafe {
            let words = self.words.as_mut_ptr().add(at.into());
            into.take(self.heading(section).kind, words);
            // So that the memory comes back fast to whoever writes the next jobs there. What one processor has written
            // and another has read, both hold, and the next write waits until the other has let go of it: nothing
            // fetches ahead then. What both have written goes over as a whole, and is fetched ahead as any stream is.
            words.write_volatile(Word::new(0));
        }
        self.jobs -= 1;
    }

    /// Without jobs it has no headings.
    #[inline(always)]
    fn clear_if_empty(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        while self.start < self.end {
            self.go_to_next_heading();
        }
        self.forget_first();
        (self.start, self.end, self.last) = (0, 0, None);
    }

    /// # Safety
    ///
    /// A heading is written before this place.
    #[inline(always)]
    unsafe fn heading(&self, section: NonZeroU16) -> &Heading<T> {
        // SAFETY: the caller's contract.
        unsafe { &*self.words.as_ptr().add((section.get() - HEADING).into()).cast() }
    }

    /// # Safety
    ///
    /// A heading is written before this place.
    #[inline(always)]
    unsafe fn heading_mut(&mut self, section: NonZeroU16) -> &mut Heading<T> {
        // SAFETY: the caller's contract.
        unsafe { &mut *self.words.as_mut_ptr().add((section.get() - HEADING).into()).cast() }
    }

    /// Where the jobs end that are behind this heading.
    ///
    /// # Safety
    ///
    /// A heading is written before this place.
    #[inline(always)]
    unsafe fn end_of(&self, section: NonZeroU16) -> u16 {
        if self.last == Some(section) {
            return self.end;
        }
        // SAFETY: the caller's contract.
        section.get() + unsafe { self.heading(section) }.length
    }

    /// Where each job is, and behind which heading.
    fn places(&self) -> impl Iterator<Item = (NonZeroU16, u16)> + '_ {
        let (mut at, mut section) = (self.start, self.first);
        std::iter::from_fn(move || {
            while at < self.end {
                match section {
                    // SAFETY: it is the first one, or was found below.
                    Some(section) if at < unsafe { self.end_of(section) } => {
                        let here = at;
                        // SAFETY: as above.
                        at += unsafe { work::length(self.heading(section).kind) };
                        return Some((section, here));
                    }
                    // Where a section ends and the block does not, there is a heading.
                    _ => {
                        at += HEADING;
                        section = NonZeroU16::new(at);
                    }
                }
            }
            None
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Seen<'_, T>> {
        self.places().map(|(section, at)| {
            // SAFETY: the job is there, and stays there for as long as it is seen.
            unsafe {
                let Heading { about, kind, .. } = self.heading(section);
                Seen { about, promise: work::promise_of(*kind, self.words.as_ptr().add(at.into())) }
            }
        })
    }
}

impl<T> Heading<T> {
    #[inline(always)]
    fn says(&self, about: &About, kind: *const Kind<T>) -> bool {
        std::ptr::eq(self.kind, kind) && self.about.is_same(about)
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
