//! A value that arrives once, from one task, and is taken by one reader.
//!
//! Both halves share one allocation, and so does whatever else the two need (a call keeps its job there). The
//! setter settles it exactly once: with the value, or, dropped without one, with [`Abandoned`].

#![allow(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use crate::platform::atomic::{AtomicU64, Ordering};
use crate::platform::{self, Bug, UnsafeCell, seeded};
use crate::wait::{Awaited, Kind, Object, Op, Stamp, TaskId};

/// The states of a slot. Every other value is the task that is parked for it.
///
/// ```text
///            poll              settle: wake the reader
///   EMPTY ----------> a task ---------------------------+
///     |                                                 v
///     |               settle                           DONE
///     +----------------------------------------------> ^
///     |      then               settle: run it          |
///     +----------> CHAINED -----------------------------+
/// ```
///
/// The value is written by the setter before DONE and taken by the reader after it. The continuation is written
/// by the reader before CHAINED and used by the setter after.
mod state {
    pub(super) const EMPTY: u64 = 0;
    pub(super) const DONE: u64 = u64::MAX;
    pub(super) const CHAINED: u64 = u64::MAX - 1;
}

/// The setter went away without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abandoned;

pub(crate) type Settled<V> = Result<V, Abandoned>;
type Then<V> = Box<dyn FnOnce(Settled<V>) + Send>;

/// What both halves share.
pub(crate) struct Slot<V, X = ()> {
    state: AtomicU64,
    /// Who settles it, as a word, or 0 for anybody.
    provider: std::sync::atomic::AtomicU64,
    object: Object,
    value: UnsafeCell<Option<(Settled<V>, Stamp)>>,
    then: UnsafeCell<Option<Then<V>>>,
    /// What else the two halves share.
    pub(crate) extra: X,
}

// SAFETY: value and continuation go from one half to the other, never shared, ordered by `state`.
unsafe impl<V: Send, X: Sync> Sync for Slot<V, X> {}
// SAFETY: as above.
unsafe impl<V: Send, X: Send> Send for Slot<V, X> {}

/// The half that settles.
pub(crate) struct Setter<V>(Option<Arc<Slot<V>>>);

/// The half that waits.
pub(crate) struct Reader<V, X = ()>(pub(crate) Arc<Slot<V, X>>);

/// A slot that `provider` settles, or anybody.
#[inline(always)]
pub(crate) fn slot<V>(provider: Option<TaskId>) -> (Setter<V>, Reader<V>) {
    let slot = Slot::shared(provider, || ());
    (Setter(Some(slot.clone())), Reader(slot))
}

impl<V> Setter<V> {
    /// By which both halves know the slot.
    pub(crate) fn address(&self) -> usize {
        self.0.as_ref().map_or(0, |slot| Arc::as_ptr(slot).addr())
    }

    /// Settles the slot with a value.
    pub(crate) fn set(mut self, value: V) {
        if let Some(slot) = self.0.take() {
            slot.settle(Ok(value));
        }
    }

    /// Whether it settles what this one reads.
    pub(super) fn is_of(&self, reader: &Reader<V>) -> bool {
        self.0.as_ref().is_some_and(|slot| Arc::ptr_eq(slot, &reader.0))
    }

    /// Names who settles it, if nobody in particular was to: that task has just begun, and waits for nothing yet.
    pub(crate) fn is_provided_by(&self, provider: TaskId) {
        if let Some(slot) = &self.0 {
            slot.provider.store(provider.word(), std::sync::atomic::Ordering::Release);
        }
    }
}

impl<V> Drop for Setter<V> {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.settle(Err(Abandoned));
        }
    }
}

impl<V, X> Slot<V, X> {
    /// One for both halves.
    #[inline(always)]
    pub(crate) fn shared(provider: Option<TaskId>, extra: impl FnOnce() -> X) -> Arc<Self> {
        // What asks others first, so that nothing waits on the stack meanwhile.
        platform::arc(|| Self {
            object: Object::new(),
            extra: extra(),
            state: AtomicU64::new(state::EMPTY),
            provider: std::sync::atomic::AtomicU64::new(provider.map_or(0, TaskId::word)),
            value: UnsafeCell::new(None),
            then: UnsafeCell::new(None),
        })
    }

    /// Settles the slot. Whoever calls this is its one setter, and calls it once. (A value that is handed down and then
    /// moved is read in larger pieces than it has just been written in; so nothing is handed down.)
    #[inline(always)]
    pub(crate) fn settle(&self, value: Settled<V>) {
        self.object.step(Op::unasked("settle"), Kind::Settle);
        if seeded(Bug::WakeBeforePublish) {
            let parked = self.state.load(Ordering::Acquire);
            if parked != state::EMPTY && parked != state::CHAINED {
                TaskId::from_word(parked).inspect(|waiter| waiter.unpark());
                self.state.store(state::EMPTY, Ordering::Release);
            }
        }
        // SAFETY: there is one setter, it settles once, and the reader keeps off until it reads DONE. Nothing is there yet
        // that would have to be dropped.
        self.value.with_mut(|place| unsafe { place.write(Some((value, Stamp::here()))) });
        self.say_done();
    }

    /// The value is there.
    #[inline]
    fn say_done(&self) {
        match self.state.swap(state::DONE, Ordering::AcqRel) {
            state::EMPTY | state::DONE => {}
            state::CHAINED => {
                // SAFETY: the swap read the reader's CHAINED, written after the continuation.
                let then = self.then.with_mut(|place| unsafe { (*place).take() });
                then.expect("the reader chained one")(self.take());
            }
            parked => {
                TaskId::from_word(parked).inspect(|waiter| waiter.unpark());
            }
        }
    }

    /// The value, once the state is DONE.
    fn take(&self) -> Settled<V> {
        // SAFETY: DONE was read with Acquire, so the value is there and the setter is through with it; there
        // is one reader, or the setter stands in for it under CHAINED.
        let value = self.value.with_mut(|place| unsafe { (*place).take() });
        let (value, settled) = value.expect("a slot is taken once");
        settled.witness();
        value
    }

    fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == state::DONE
    }

    /// Who settles it, until that is done: whoever is about to be woken waits for nobody.
    pub(crate) fn provider(&self) -> Option<TaskId> {
        let provider = || TaskId::from_word(self.provider.load(std::sync::atomic::Ordering::Acquire));
        if self.is_done() && !seeded(Bug::SettledProvides) { None } else { provider() }
    }
}

impl<V, X> Awaited for Reader<V, X> {
    type Value = Settled<V>;

    /// # Panics
    ///
    /// After it has returned the value.
    fn poll(&self, waiter: TaskId) -> Option<Settled<V>> {
        let slot = &*self.0;
        let mine = waiter.word();
        let mut now = slot.state.load(Ordering::Acquire);
        // What is there may be another task, which gave its wait up.
        while now != state::DONE && now != mine {
            let parked = slot.state.compare_exchange(now, mine, Ordering::AcqRel, Ordering::Acquire);
            now = parked.err().unwrap_or(mine);
        }
        (now == state::DONE).then(|| slot.take())
    }

    fn is_ready(&self) -> bool {
        self.0.is_done()
    }

    fn object(&self) -> Object {
        self.0.object
    }
}

impl<V, X> Reader<V, X> {
    /// By which both halves know the slot.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Calls `then` with the value: by the setter as soon as it is there, or here and now.
    pub(crate) fn then(self, then: impl FnOnce(Settled<V>) + Send + 'static) {
        let slot = &*self.0;
        slot.object.observe();
        slot.object.step(Op::unasked("then"), Kind::Look);
        // SAFETY: the reader alone writes it, before CHAINED lets the setter read it.
        slot.then.with_mut(|place| unsafe { *place = Some(Box::new(then)) });
        let mut now = slot.state.load(Ordering::Acquire);
        // What is there may be a task that gave its wait up.
        while now != state::DONE {
            match slot.state.compare_exchange(now, state::CHAINED, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(changed) => now = changed,
            }
        }
        // SAFETY: the setter has settled and will not look for a continuation any more.
        let then = slot.then.with_mut(|place| unsafe { (*place).take() });
        then.expect("written above")(slot.take());
    }

    /// Whether the value is there, for somebody who goes on in either case.
    pub(crate) fn is_settled(&self) -> bool {
        self.0.object.observe();
        self.0.object.step(Op::unasked("is settled?"), Kind::Look);
        self.0.is_done()
    }

    /// Who settles it, until that is done.
    pub(crate) fn provider(&self) -> Option<TaskId> {
        self.0.provider()
    }

    /// Whether the value is there, for somebody who only looks on.
    pub(crate) fn is_done(&self) -> bool {
        self.0.is_done()
    }
}

impl<V, X> fmt::Debug for Reader<V, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("settled", &self.0.is_done()).finish_non_exhaustive()
    }
}
