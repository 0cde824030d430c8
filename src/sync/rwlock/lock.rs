//! Taking the lock, giving it back, and the line of those who wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering as Std};
use std::time::Duration;

use super::word::{Mode, WAITED_FOR, Word};
use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::{self, Bug, seeded};
use crate::sync::made::Made;
use crate::wait::{
    self, Arrival, Awaited, Hold, Kind, Object, Op, Providers, Request, Resource, Site, StampCell, TaskId,
    Terms, WaitError,
};

/// Who waits, for what, and by which operation.
struct Place {
    task: TaskId,
    mode: Mode,
    op: Op,
}

/// What the lock consists of. The word comes last, beside the value: see `Mutex`.
#[repr(C)]
pub(super) struct Lock {
    /// The upgradable reader, or 0.
    upgradable: AtomicU64,
    /// Those who wait, in the order in which they are served.
    line: platform::Mutex<VecDeque<Place>>,
    made: Made,
    object: Object,
    /// What had happened when it was last written, and when it was read since.
    written: StampCell,
    read: StampCell,
    word: AtomicU64,
}

impl Lock {
    platform::const_fn! {
        /// A free one.
        pub(super) fn made(made: Op, object: Object) -> Self {
            Self {
                word: AtomicU64::new(0),
                upgradable: AtomicU64::new(0),
                line: platform::Mutex::new(VecDeque::new()),
                made: Made::at(made),
                object,
                written: StampCell::never(),
                read: StampCell::never(),
            }
        }
    }

    fn held(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    pub(super) fn look(&self, label: &'static str) -> Word {
        self.object.observe();
        self.object.step(Op::unasked(label), Kind::TryLock);
        self.held()
    }

    /// One task's wait for the lock.
    fn turn(&self, mode: Mode, op: Op) -> Turn<'_> {
        Turn { lock: self, mode, op, me: wait::current_id(), stands: AtomicU8::new(OUTSIDE) }
    }

    /// Takes the lock, waiting for it if need be.
    pub(super) fn acquire(&self, mode: Mode, op: Op, terms: Terms) -> Result<(), WaitError> {
        let turn = self.turn(mode, op);
        self.object.arrive(op, mode.arrives(), &turn)?;
        if !self.take(mode, turn.me, op) {
            let request = Request { arrival: Arrival::Made, terms, ..Request::new(&turn, op) };
            wait::door(request, |inside| inside.until(&turn))?;
        }
        self.is_taken(mode);
        Ok(())
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn acquire_surely(&self, mode: Mode, op: Op) {
        if wait::is_explored() || !self.take(mode, wait::current_id(), op) {
            self.insist(mode, op);
        }
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn insist(&self, mode: Mode, op: Op) {
        wait::insist(|terms| self.acquire(mode, op, terms));
    }

    pub(super) fn try_acquire(&self, mode: Mode, op: Op) -> bool {
        self.object.observe();
        self.object.step(op, mode.tries());
        let taken = self.take(mode, wait::current_id(), op);
        if taken {
            self.is_taken(mode);
        }
        taken
    }

    /// Takes the lock if that can be within this time; in an exploration see `Mutex`.
    pub(super) fn acquire_within(&self, mode: Mode, op: Op, timeout: Duration) -> bool {
        if wait::timeouts_any_time() == Some(true) {
            return self.try_acquire(mode, op);
        }
        let turn = self.turn(mode, op);
        let taken = self.object.arrive(op, mode.arrives(), &turn).is_ok()
            && (self.take(mode, turn.me, op) || {
                let request = Request { arrival: Arrival::Made, timed: true, ..Request::new(&turn, op) };
                let came =
                    wait::door(request, |inside| inside.until_timeout(&turn, self.object, Some(timeout)));
                matches!(came, Ok(Some(())))
            });
        if taken {
            self.is_taken(mode);
        }
        taken
    }

    /// Takes the lock if nobody waits and the mode allows it.
    #[inline(always)]
    fn take(&self, mode: Mode, me: TaskId, op: Op) -> bool {
        let taken = self.take_unless_lost(mode, me).unwrap_or_else(|| self.take_after_loss(mode, me));
        if taken {
            self.note(mode, me, |held| wait::hold(held, op));
        }
        taken
    }

    /// The same, or nothing if the word was changed meanwhile.
    #[inline(always)]
    fn take_unless_lost(&self, mode: Mode, me: TaskId) -> Option<bool> {
        let held = Word(self.word.load(Ordering::Relaxed));
        // Who upgrades has the lock already, and is ahead of all who wait.
        if held.is_waited_for() && mode != Mode::Upgrade {
            return Some(false);
        }
        let Some(more) = held.with(mode, me) else { return Some(false) };
        let taken = self.word.compare_exchange_weak(held.0, more.0, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok().then_some(true)
    }

    /// Readers that all try again at once hinder each other.
    #[cold]
    #[inline(never)]
    fn take_after_loss(&self, mode: Mode, me: TaskId) -> bool {
        let after = |losses| {
            platform::relax(losses);
            self.take_unless_lost(mode, me)
        };
        (1..).find_map(after).expect("it goes on until it is clear")
    }

    /// `task` holds the lock now.
    #[inline(always)]
    fn note(&self, mode: Mode, task: TaskId, hold: impl FnOnce(Hold)) {
        match mode {
            Mode::Upgrade => self.renote(Mode::Upgradable, mode, task),
            _ => hold(self.as_held(mode)),
        }
        if mode == Mode::Upgradable {
            self.upgradable.store(task.word(), Ordering::Release);
        }
    }

    /// `task` is about to hold it otherwise, or does so now.
    fn renote(&self, from: Mode, to: Mode, task: TaskId) {
        if from == Mode::Upgradable {
            self.upgradable.store(0, Ordering::Release);
        }
        wait::hold_otherwise(task, self.as_held(from), self.as_held(to));
    }

    /// The calling task is about to give the lock back.
    #[inline(always)]
    fn unnote(&self, mode: Mode) {
        if mode == Mode::Upgradable {
            self.upgradable.store(0, Ordering::Release);
        }
        wait::unhold(self.as_held(mode));
    }

    /// What tasks note that have it in this mode.
    #[inline(always)]
    fn as_held(&self, mode: Mode) -> Hold {
        match mode {
            Mode::Read | Mode::Upgradable => Hold::shared(self),
            Mode::Write | Mode::Upgrade => Hold::alone(self),
        }
    }

    fn is_taken(&self, mode: Mode) {
        self.written.witness();
        if matches!(mode, Mode::Write | Mode::Upgrade) {
            self.read.witness();
        }
    }

    /// Gives the lock back. The caller holds it in this mode.
    #[inline(always)]
    pub(super) fn release(&self, mode: Mode) {
        if wait::is_explored() {
            self.released(mode);
        }
        if mode != Mode::Read {
            return self.release_rest(mode);
        }
        self.unnote(mode);
        // What a reader takes away is the same, whatever the others do meanwhile.
        if Word(self.word.fetch_sub(1, Ordering::Release)).is_waited_for() {
            self.serve_line(|held| held);
        }
    }

    /// The step of whoever gives the lock back, or some of it.
    #[cold]
    fn released(&self, mode: Mode) {
        self.object.step(Op::unasked("unlock"), Kind::Unlock);
        if mode == Mode::Write { self.written.set_here() } else { self.read.add_here() }
    }

    fn release_rest(&self, mode: Mode) {
        let mut held = Word(self.word.load(Ordering::Relaxed));
        let late = seeded(Bug::ForgetAfterUnlock);
        if !late {
            self.unnote(mode);
        }
        if held.writer().is_some_and(|writer| writer != wait::current_id()) {
            wait::unhold_by_another(Hold::alone(self));
        }
        while !held.is_waited_for() {
            let less = held.without(mode);
            let given = self.word.compare_exchange_weak(held.0, less.0, Ordering::Release, Ordering::Relaxed);
            match given {
                Ok(_) if late => return self.unnote(mode),
                Ok(_) => return,
                Err(changed) => held = Word(changed),
            }
        }
        self.serve_line(|held| held.without(mode));
        if late {
            self.unnote(mode);
        }
    }

    /// The holder goes on in a weaker mode.
    pub(super) fn becomes(&self, from: Mode, to: Mode) {
        self.released(from);
        let me = wait::current_id();
        self.renote(from, to, me);
        self.serve_line(|held| {
            held.without(from).with(to, me).expect("a weaker mode fits where a stronger did")
        });
        if to == Mode::Upgradable {
            self.upgradable.store(me.word(), Ordering::Release);
        }
    }

    /// Changes the word, and gives the lock to all whose turn it is then.
    #[cold]
    fn serve_line(&self, change: impl Fn(Word) -> Word) {
        let mut line = self.line.lock();
        let mut held = Word(self.word.load(Ordering::Relaxed));
        let mut served;
        loop {
            let mut next = change(held);
            served = 0;
            for Place { task, mode, .. } in &*line {
                let Some(more) = next.with(*mode, *task) else { break };
                next = more;
                served += 1;
            }
            if served == line.len() {
                next.0 &= !WAITED_FOR;
            }
            let changed =
                self.word.compare_exchange_weak(held.0, next.0, Ordering::AcqRel, Ordering::Relaxed);
            match changed {
                Ok(_) => break,
                Err(word) => held = Word(word),
            }
        }
        let served: Vec<_> = line.drain(..served).collect();
        for Place { task, mode, op } in &served {
            self.note(*mode, *task, |held| wait::hold_for(*task, held, *op));
        }
        drop(line);
        served.into_iter().for_each(|place| place.task.unpark());
    }

    /// Gives back what was given to the calling task, which does not want it any more. Whoever wanted to upgrade has
    /// what it had before.
    fn give_up(&self, mode: Mode) {
        match mode {
            Mode::Upgrade => self.becomes(Mode::Write, Mode::Upgradable),
            mode => self.release(mode),
        }
    }
}

impl Drop for Lock {
    /// Guards that were forgotten must not make their tasks hold the next lock of this address.
    fn drop(&mut self) {
        let held = self.held();
        if held.readers() > 0 {
            wait::forget(Hold::shared(self));
        }
        if platform::KEEPS_LINES && held.writer().is_some() {
            wait::forget(Hold::alone(self));
        }
    }
}

/// One task's wait for the lock.
struct Turn<'a> {
    lock: &'a Lock,
    mode: Mode,
    op: Op,
    me: TaskId,
    /// Whether it has come to the line, and what has become of it.
    stands: AtomicU8,
}

/// It is in no line.
const OUTSIDE: u8 = 0;
/// It is in line, or has been given the lock and does not know.
const IN_LINE: u8 = 1;
/// It has the lock.
const HAS: u8 = 2;

impl Resource for Turn<'_> {
    /// Whoever holds the lock so that the two exclude each other, and whoever is ahead in the line and so too.
    fn providers(&self) -> Providers {
        let Self { lock, mode, me, .. } = *self;
        let line = lock.line.lock();
        // What it has been given it does not wait for, whether it knows that or not: not for those in line now either.
        let is_over = match self.stands.load(Std::Relaxed) {
            OUTSIDE => false,
            HAS => true,
            _ => line.iter().all(|place| place.task != me),
        };
        if is_over {
            return Providers::Open;
        }
        let ahead = line.iter().take_while(|place| place.task != me);
        let ahead = ahead.filter(|place| mode.excludes(place.mode)).map(|place| place.task);
        let mut providers: Vec<_> = if mode == Mode::Upgrade { Vec::new() } else { ahead.collect() };
        let held = lock.held();
        providers.extend(held.writer());
        match mode {
            Mode::Write => providers.extend(wait::holders(Hold::shared(lock))),
            Mode::Upgrade => {
                providers.extend(wait::holders(Hold::shared(lock)).into_iter().filter(|task| *task != me))
            }
            Mode::Upgradable => providers.extend(TaskId::from_word(lock.upgradable.load(Ordering::Acquire))),
            Mode::Read => {}
        }
        Providers::All(providers)
    }

    fn name(&self) -> String {
        self.lock.made.name("lock")
    }

    fn taken(&self, by: &[TaskId]) -> Option<Site> {
        [Hold::alone(self.lock), Hold::shared(self.lock)].into_iter().find_map(|held| wait::line_of(held, by))
    }
}

impl Awaited for Turn<'_> {
    type Value = ();

    fn poll(&self, waiter: TaskId) -> Option<()> {
        let lock = self.lock;
        let mut line = lock.line.lock();
        if line.iter().any(|place| place.task == waiter) {
            return None;
        }
        if self.stands.load(Std::Relaxed) == IN_LINE {
            self.stands.store(HAS, Std::Relaxed);
            return Some(());
        }
        // From here on whoever unlocks comes for the line.
        let before = Word(lock.word.fetch_or(WAITED_FOR, Ordering::Relaxed));
        let mut held = Word(before.0 | WAITED_FOR);
        while line.is_empty() || self.mode == Mode::Upgrade {
            let Some(mut more) = held.with(self.mode, waiter) else { break };
            if line.is_empty() {
                more.0 &= !WAITED_FOR;
            }
            match lock.word.compare_exchange(held.0, more.0, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    self.stands.store(HAS, Std::Relaxed);
                    lock.note(self.mode, waiter, |held| wait::hold(held, self.op));
                    return Some(());
                }
                Err(word) => held = Word(word),
            }
        }
        let place = Place { task: waiter, mode: self.mode, op: self.op };
        match self.mode {
            Mode::Upgrade => line.push_front(place),
            _ => line.push_back(place),
        }
        self.stands.store(IN_LINE, Std::Relaxed);
        None
    }

    fn is_ready(&self) -> bool {
        self.stands.load(Std::Relaxed) == OUTSIDE && self.lock.held().with(self.mode, self.me).is_some()
    }

    fn object(&self) -> Object {
        self.lock.object
    }

    fn look(&self) -> Kind {
        self.mode.arrives()
    }

    /// Whoever does not wait for the lock leaves the line; and gives it back if it was given meanwhile.
    fn pause(&self, waiter: TaskId) {
        if self.stands.swap(OUTSIDE, Std::Relaxed) != IN_LINE {
            return;
        }
        let mut line = self.lock.line.lock();
        match line.iter().position(|place| place.task == waiter) {
            Some(place) => {
                line.remove(place);
                drop(line);
                // Those behind it may have waited for it alone.
                self.lock.serve_line(|held| held);
            }
            None => {
                drop(line);
                self.lock.give_up(self.mode);
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pause(self.me);
    }
}

#[cfg(all(test, feature = "explore"))]
mod tests {
    use super::*;
    use crate::wait::IntoOp;

    /// Whoever gets in line behind a reader that has just been let in is not ahead of it.
    #[test]
    fn whoever_has_the_lock_waits_for_nobody() {
        let op = "test".into_op();
        let lock = Lock::made(op, Object::NONE);
        let (reader, writer) = (lock.turn(Mode::Read, op), lock.turn(Mode::Write, op));
        let another = std::thread::spawn(wait::current_id).join().expect("it only has a number");

        assert_eq!(reader.poll(reader.me), Some(()), "the lock was free");
        assert_eq!(writer.poll(another), None);
        assert_eq!(reader.providers(), Providers::Open, "it took the lock itself");

        let late = lock.turn(Mode::Read, op);
        assert_eq!(late.poll(late.me), None);
        assert_eq!(late.providers(), Providers::All(vec![another]), "the writer is ahead");
        writer.pause(another);
        assert_eq!(late.providers(), Providers::Open, "it has been given the lock");
        assert_eq!(late.poll(late.me), Some(()));
        assert_eq!(writer.poll(another), None);
        assert_eq!(late.providers(), Providers::Open, "and knows that");
        writer.pause(another);
    }
}
