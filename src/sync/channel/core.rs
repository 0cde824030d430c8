//! The items, and those who wait on both sides.
//!
//! Items go from hand to hand: whoever finds somebody waiting on the other side serves the one who waits longest. So the
//! n-th who sends meets the n-th who receives, and for an explorer their order is no matter.

#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use super::choice::Chooser;
use crate::platform::{self, UnsafeCell};
use crate::sync::ends::Ends;
use crate::sync::made::Made;
use crate::sync::slot::Setter;
use crate::wait::{Object, Op, Stamp, StampCell};

/// An item on its way, with what had happened when it was sent.
pub(super) type Item<T> = (T, Stamp);

/// Where an item is put for whoever waits for it, or lies until somebody takes it.
pub(super) type Parcel<T> = Arc<platform::Mutex<Option<Item<T>>>>;

/// What both sides share.
pub(super) struct Core<T> {
    pub(super) made: Made,
    pub(super) object: Object,
    /// How many items it holds that nobody has received; unbounded if there is none.
    pub(super) capacity: Option<usize>,
    pub(super) senders: Ends,
    pub(super) receivers: Ends,
    /// What had happened when ends of either side were let go.
    pub(super) senders_left: StampCell,
    pub(super) receivers_left: StampCell,
    /// Guards the state; apart from it, so that a choice can hold the locks of all its channels, whatever they carry.
    pub(super) lock: platform::Mutex<()>,
    state: UnsafeCell<State<T>>,
}

// SAFETY: the state is reached with the lock held; items go from task to task and are never shared.
unsafe impl<T: Send> Sync for Core<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Core<T> {}

/// Those who wait to send, or those who wait to receive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Sending,
    Receiving,
}

struct State<T> {
    items: VecDeque<Item<T>>,
    /// What had happened when each free place became free, in the order in which they are used; none for those that
    /// were from the beginning.
    freed: VecDeque<Stamp>,
    receiving: VecDeque<Waiting<T>>,
    sending: VecDeque<Waiting<T>>,
    next: u64,
    capacity: Option<usize>,
    no_senders: bool,
    no_receivers: bool,
}

/// Somebody who waits on one side.
struct Waiting<T> {
    number: u64,
    chooser: Arc<Chooser>,
    arm: usize,
    parcel: Parcel<T>,
    arrived: Stamp,
}

/// Whoever has been served is told so where no lock is held.
#[must_use]
pub(super) struct Served(Option<(Setter<usize>, usize)>);

impl Served {
    pub(super) const NOBODY: Self = Self(None);

    pub(super) fn tell(self) {
        if let Some((setter, arm)) = self.0 {
            setter.set(arm);
        }
    }
}

/// What comes of trying.
pub(super) enum Tried<R> {
    /// It is done.
    Done(R, Served),
    /// The other side is closed.
    Closed,
    /// It would have to wait.
    Waits,
}

impl<T> State<T> {
    fn has_room(&self) -> bool {
        self.capacity.is_none_or(|capacity| self.items.len() < capacity)
    }

    /// Whether one of these is another than `me`, who may stand on both sides, and has not been served elsewhere.
    fn is_met(waiting: &VecDeque<Waiting<T>>, me: Option<&Chooser>) -> bool {
        let is_me = |chooser: &Chooser| me.is_some_and(|me| std::ptr::eq(chooser, me));
        waiting.iter().any(|waiting| !is_me(&waiting.chooser) && !waiting.chooser.is_claimed())
    }

    /// The first of those who wait that has not been served elsewhere.
    fn first(waiting: &mut VecDeque<Waiting<T>>) -> Option<(Waiting<T>, Setter<usize>)> {
        std::iter::from_fn(|| waiting.pop_front())
            .find_map(|first| first.chooser.claim().map(|setter| (first, setter)))
    }

    /// An item, if there is one; whoever waits to send fills its place.
    fn take(&mut self) -> Tried<Item<T>> {
        if let Some(item) = self.items.pop_front() {
            let served = Self::first(&mut self.sending).map(|(sender, setter)| {
                self.items.extend(sender.parcel.lock().take());
                (setter, sender.arm)
            });
            if served.is_none() && self.capacity.is_some() {
                self.freed.push_back(Stamp::here());
            }
            return Tried::Done(item, Served(served));
        }
        match Self::first(&mut self.sending) {
            Some((sender, setter)) => {
                let item = sender.parcel.lock().take().expect("who waits to send has something to");
                Tried::Done(item, Served(Some((setter, sender.arm))))
            }
            None if self.no_senders => Tried::Closed,
            None => Tried::Waits,
        }
    }

    /// The next free place is used: only since it is free.
    fn uses_place(&mut self) {
        if self.items.len() + self.freed.len() == self.capacity.unwrap_or(usize::MAX) {
            self.freed.pop_front().inspect(|freed| freed.witness());
        }
    }

    /// Gives the item of `parcel` to whoever waits, or puts it where there is room.
    fn put(&mut self, parcel: &Parcel<T>) -> Tried<()> {
        if self.no_receivers {
            return Tried::Closed;
        }
        if let Some((receiver, setter)) = Self::first(&mut self.receiving) {
            match self.capacity {
                // Only since it has come.
                Some(0) => receiver.arrived.witness(),
                // The place that the item would have is free again since then.
                Some(_) => {
                    self.uses_place();
                    self.freed.push_back(receiver.arrived);
                }
                None => {}
            }
            let item = parcel.lock().take();
            *receiver.parcel.lock() = item;
            return Tried::Done((), Served(Some((setter, receiver.arm))));
        }
        if self.has_room() {
            self.uses_place();
            self.items.extend(parcel.lock().take());
            return Tried::Done((), Served::NOBODY);
        }
        Tried::Waits
    }
}

impl<T> Core<T> {
    pub(super) fn new(made: Op, capacity: Option<usize>) -> Arc<Self> {
        let state = State {
            items: VecDeque::new(),
            freed: VecDeque::new(),
            receiving: VecDeque::new(),
            sending: VecDeque::new(),
            next: 0,
            capacity,
            no_senders: false,
            no_receivers: false,
        };
        Arc::new(Self {
            made: Made::at(made),
            object: Object::new(),
            capacity,
            senders: Ends::new(1),
            receivers: Ends::new(1),
            senders_left: StampCell::never(),
            receivers_left: StampCell::never(),
            lock: platform::Mutex::new(()),
            state: UnsafeCell::new(state),
        })
    }

    fn with<R>(&self, body: impl FnOnce(&mut State<T>) -> R) -> R {
        let _locked = self.lock.lock();
        // SAFETY: the lock is held, and `body` takes no other but those of choosers and parcels.
        unsafe { self.locked(body) }
    }

    /// As `with`.
    ///
    /// # Safety
    ///
    /// The caller holds the lock, and `body` does not call this.
    unsafe fn locked<R>(&self, body: impl FnOnce(&mut State<T>) -> R) -> R {
        // SAFETY: whoever holds the lock is alone.
        self.state.with_mut(|state| body(unsafe { &mut *state }))
    }

    /// Takes an item into `parcel`; if it would have to wait, it says so.
    ///
    /// # Safety
    ///
    /// The caller holds the lock.
    pub(super) unsafe fn try_to_receive(&self, parcel: &Parcel<T>) -> Tried<()> {
        // SAFETY: as here.
        match unsafe { self.locked(State::take) } {
            Tried::Done(item, served) => {
                *parcel.lock() = Some(item);
                Tried::Done((), served)
            }
            Tried::Closed => {
                self.senders_left.witness();
                Tried::Closed
            }
            Tried::Waits => Tried::Waits,
        }
    }

    /// Sends the item of `parcel`; if it would have to wait, it says so.
    ///
    /// # Safety
    ///
    /// The caller holds the lock.
    pub(super) unsafe fn try_to_send(&self, parcel: &Parcel<T>) -> Tried<()> {
        // SAFETY: as here.
        unsafe {
            self.locked(|state| {
                if let Some((_, sent)) = &mut *parcel.lock() {
                    *sent = Stamp::here();
                }
                state.put(parcel)
            })
        }
    }

    /// Gets in line on one side, and returns the number of the place.
    ///
    /// # Safety
    ///
    /// The caller holds the lock.
    pub(super) unsafe fn get_in_line(
        &self,
        side: Side,
        chooser: &Arc<Chooser>,
        arm: usize,
        parcel: &Parcel<T>,
    ) -> u64 {
        let (chooser, parcel) = (chooser.clone(), parcel.clone());
        // SAFETY: as here.
        unsafe {
            self.locked(|state| {
                state.next += 1;
                let number = state.next;
                state.side(side).push_back(Waiting { number, chooser, arm, parcel, arrived: Stamp::here() });
                number
            })
        }
    }

    /// Leaves the line, if the place of this number is still there.
    pub(super) fn leave(&self, side: Side, number: u64) {
        let left = self.with(|state| {
            let line = state.side(side);
            let at = line.iter().position(|waiting| waiting.number == number);
            at.and_then(|at| line.remove(at))
        });
        drop(left);
    }

    /// Nobody is left on one side: all who wait on the other are told, and what nobody will receive is dropped.
    pub(super) fn close(&self, side: Side) {
        let (told, items) = self.with(|state| {
            let (other, items) = match side {
                Side::Sending => {
                    state.no_senders = true;
                    (&mut state.receiving, VecDeque::new())
                }
                Side::Receiving => {
                    state.no_receivers = true;
                    (&mut state.sending, std::mem::take(&mut state.items))
                }
            };
            let told: Vec<_> = std::iter::from_fn(|| State::first(other)).collect();
            (told, items)
        });
        drop(items);
        told.into_iter().for_each(|(waiting, setter)| setter.set(waiting.arm));
    }

    /// Whether whoever comes to this side now, or stands there as this chooser, need not wait.
    pub(super) fn is_possible(&self, side: Side, chooser: Option<&Chooser>) -> bool {
        self.with(|state| match side {
            Side::Sending => {
                state.no_receivers || state.has_room() || State::is_met(&state.receiving, chooser)
            }
            Side::Receiving => {
                state.no_senders || !state.items.is_empty() || State::is_met(&state.sending, chooser)
            }
        })
    }

    /// How many items nobody has received.
    pub(super) fn len(&self) -> usize {
        self.with(|state| state.items.len())
    }
}

impl<T> State<T> {
    fn side(&mut self, side: Side) -> &mut VecDeque<Waiting<T>> {
        match side {
            Side::Sending => &mut self.sending,
            Side::Receiving => &mut self.receiving,
        }
    }
}
