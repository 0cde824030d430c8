//! A value that arrives once, from one task, and is taken by one reader.
//!
//! Both halves share one allocation. The setter settles it exactly once: with the value, or, dropped without
//! one, with [`Abandoned`].

#![allow(unsafe_code)]

use std::fmt;
use std::sync::Arc;

use crate::platform::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::platform::{Bug, UnsafeCell, seeded};
use crate::wait::{Awaited, Kind, Object, Op, Stamp, TaskId};

/// The states of a slot.
///
/// ```text
///            poll              settle: wake the reader
///   EMPTY ----------> PARKED ---------------------------+
///     |                                                 v
///     |               settle                           DONE
///     +----------------------------------------------> ^
///     |      then               settle: run it          |
///     +----------> CHAINED -----------------------------+
/// ```
///
/// The value is written by the setter before DONE and taken by the reader after it. The number of the waiter
/// and the continuation are written by the reader before PARKED and CHAINED and used by the setter after.
mod state {
    pub(super) const EMPTY: usize = 0;
    pub(super) const PARKED: usize = 1;
    pub(super) const CHAINED: usize = 2;
    pub(super) const DONE: usize = 3;
}

/// The setter went away without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abandoned;

type Settled<V> = Result<V, Abandoned>;
type Then<V> = Box<dyn FnOnce(Settled<V>) + Send>;

struct Shared<V> {
    state: AtomicUsize,
    /// Who settles it, as a word; 0 once that is decided.
    provider: AtomicU64,
    waiter: AtomicU64,
    object: Object,
    value: UnsafeCell<Option<(Settled<V>, Stamp)>>,
    then: UnsafeCell<Option<Then<V>>>,
}

// SAFETY: value and continuation go from one half to the other, never shared, ordered by `state`.
unsafe impl<V: Send> Sync for Shared<V> {}
// SAFETY: as above.
unsafe impl<V: Send> Send for Shared<V> {}

/// The half that settles.
pub(crate) struct Setter<V>(Option<Arc<Shared<V>>>);

/// The half that waits.
pub(crate) struct Reader<V>(Arc<Shared<V>>);

/// A slot that `provider` settles, or anybody.
pub(crate) fn slot<V>(provider: Option<TaskId>) -> (Setter<V>, Reader<V>) {
    let shared = Arc::new(Shared {
        state: AtomicUsize::new(state::EMPTY),
        provider: AtomicU64::new(provider.map_or(0, TaskId::word)),
        waiter: AtomicU64::new(0),
        object: Object::new(),
        value: UnsafeCell::new(None),
        then: UnsafeCell::new(None),
    });
    (Setter(Some(shared.clone())), Reader(shared))
}

impl<V> Setter<V> {
    /// Settles the slot with a value.
    pub(crate) fn set(mut self, value: V) {
        if let Some(shared) = self.0.take() {
            shared.settle(Ok(value));
            if seeded(Bug::SettleTwice) {
                self.0 = Some(shared);
            }
        }
    }
}

impl<V> Drop for Setter<V> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.settle(Err(Abandoned));
        }
    }
}

impl<V> Shared<V> {
    fn settle(&self, value: Settled<V>) {
        self.object.step(Op::unasked("settle"), Kind::Settle);
        if seeded(Bug::WakeBeforePublish) && self.state.load(Ordering::Acquire) == state::PARKED {
            self.wake();
            self.state.store(state::EMPTY, Ordering::Release);
        }
        // SAFETY: there is one setter, it settles once, and the reader keeps off until it reads DONE.
        self.value.with_mut(|place| unsafe { *place = Some((value, Stamp::here())) });
        // Before the reader can go on: one that is about to be woken is not waiting for this task.
        self.provider.store(0, Ordering::Relaxed);
        match self.state.swap(state::DONE, Ordering::AcqRel) {
            state::PARKED => self.wake(),
            state::CHAINED => {
                // SAFETY: the swap read the reader's CHAINED, written after the continuation.
                let then = self.then.with_mut(|place| unsafe { (*place).take() });
                then.expect("the reader chained one")(self.take());
            }
            _ => {}
        }
    }

    fn wake(&self) {
        // Ordered by the swap that read PARKED.
        if let Some(waiter) = TaskId::from_word(self.waiter.load(Ordering::Relaxed)) {
            waiter.unpark();
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
}

impl<V> Awaited for Reader<V> {
    type Value = Settled<V>;

    /// # Panics
    ///
    /// After it has returned the value.
    fn poll(&self, waiter: TaskId) -> Option<Settled<V>> {
        let shared = &*self.0;
        let mut now = shared.state.load(Ordering::Acquire);
        if now == state::EMPTY {
            shared.waiter.store(waiter.word(), Ordering::Relaxed);
            let parked = shared.state.compare_exchange(
                state::EMPTY,
                state::PARKED,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            now = parked.err().unwrap_or(state::PARKED);
        }
        (now == state::DONE).then(|| shared.take())
    }

    fn object(&self) -> Object {
        self.0.object
    }
}

impl<V> Reader<V> {
    /// Calls `then` with the value: by the setter as soon as it is there, or here and now.
    pub(crate) fn then(self, then: impl FnOnce(Settled<V>) + Send + 'static) {
        let shared = &*self.0;
        shared.object.observe();
        shared.object.step(Op::unasked("then"), Kind::Look);
        // SAFETY: the reader alone writes it, before CHAINED lets the setter read it.
        shared.then.with_mut(|place| unsafe { *place = Some(Box::new(then)) });
        let chained =
            shared.state.compare_exchange(state::EMPTY, state::CHAINED, Ordering::AcqRel, Ordering::Acquire);
        if chained.is_err() {
            // SAFETY: the setter has settled and will not look for a continuation any more.
            let then = shared.then.with_mut(|place| unsafe { (*place).take() });
            then.expect("written above")(shared.take());
        }
    }

    /// Whether the value is there, for somebody who goes on in either case.
    pub(crate) fn is_settled(&self) -> bool {
        self.0.object.observe();
        self.0.object.step(Op::unasked("is settled?"), Kind::Look);
        self.is_done()
    }

    fn is_done(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == state::DONE
    }

    /// Who settles it, until that is done.
    pub(crate) fn provider(&self) -> Option<TaskId> {
        TaskId::from_word(self.0.provider.load(Ordering::Acquire))
    }
}

impl<V> fmt::Debug for Reader<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("settled", &self.is_done()).finish_non_exhaustive()
    }
}
