//! A wait for whichever of several operations is first. A single operation is a choice of one.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::core::{Core, Item, Parcel, Side, Tried};
use super::ends::{Receiver, Sender};
use super::error::{self, RecvError, SendError};
use crate::platform::{self, Bug, seeded};
use crate::sync::slot::{Setter, slot};
use crate::wait::{self, Arrival, IntoOp, Kind, Object, Op, Providers, Request, Resource, WaitError};

/// Whoever waits for one of several operations, until one is done: the first to claim it does that.
pub(super) struct Chooser(platform::Mutex<Option<Setter<usize>>>);

impl Chooser {
    /// The right to tell which operation is done, if none is yet.
    pub(super) fn claim(&self) -> Option<Setter<usize>> {
        self.0.lock().take()
    }

    /// Whether one is done, or just being done.
    pub(super) fn is_claimed(&self) -> bool {
        self.0.lock().is_none()
    }
}

/// One operation of a choice.
pub(super) trait Arm: Sync {
    /// What guards its channel.
    fn lock(&self) -> &platform::Mutex<()>;

    /// Does it, if it need not wait; with the lock held.
    fn try_it(&self) -> Tried<()>;

    /// Gets in line for it as the operation of this number; with the lock held.
    fn get_in_line(&self, chooser: &Arc<Chooser>, arm: usize);

    /// Gets out of the line, if it stands there.
    fn leave(&self);

    fn object(&self) -> Object;

    /// How it arrives when it is the only one.
    fn kind(&self) -> Kind;

    /// Who could end the wait of this chooser for it, if it has begun.
    fn providers(&self, chooser: Option<&Chooser>) -> Providers;

    /// By which its channel is known.
    fn address(&self) -> usize;

    /// Whether ends of the other side have been let go.
    fn has_narrowed(&self) -> bool;

    fn name(&self) -> String;
}

/// One side of one channel, as an operation.
pub(super) struct OneSide<'a, T> {
    pub(super) core: &'a Arc<Core<T>>,
    pub(super) side: Side,
    pub(super) parcel: Parcel<T>,
    /// The place in the line, or 0.
    place: std::sync::atomic::AtomicU64,
}

impl<'a, T> OneSide<'a, T> {
    pub(super) fn new(core: &'a Arc<Core<T>>, side: Side, item: Option<Item<T>>) -> Self {
        let parcel = Arc::new(platform::Mutex::new(item));
        Self { core, side, parcel, place: std::sync::atomic::AtomicU64::new(0) }
    }

    /// What has been received, or was not sent.
    pub(super) fn item(&self) -> Option<Item<T>> {
        self.parcel.lock().take()
    }
}

impl<T: Send> Arm for OneSide<'_, T> {
    fn lock(&self) -> &platform::Mutex<()> {
        &self.core.lock
    }

    fn try_it(&self) -> Tried<()> {
        // SAFETY: the lock is held, says the trait.
        unsafe {
            match self.side {
                Side::Sending => self.core.try_to_send(&self.parcel),
                Side::Receiving => self.core.try_to_receive(&self.parcel),
            }
        }
    }

    fn get_in_line(&self, chooser: &Arc<Chooser>, arm: usize) {
        // SAFETY: as above.
        let place = unsafe { self.core.get_in_line(self.side, chooser, arm, &self.parcel) };
        self.place.store(place, std::sync::atomic::Ordering::Relaxed);
    }

    fn leave(&self) {
        let place = self.place.swap(0, std::sync::atomic::Ordering::Relaxed);
        if place != 0 {
            self.core.leave(self.side, place);
        }
    }

    fn object(&self) -> Object {
        self.core.object
    }

    fn kind(&self) -> Kind {
        match self.side {
            Side::Sending => Kind::Push,
            Side::Receiving => Kind::Pop,
        }
    }

    /// Who could do it is asked before whether that is done: what has been done meanwhile is seen by the second.
    fn providers(&self, chooser: Option<&Chooser>) -> Providers {
        let others = match self.side {
            Side::Sending => self.core.receivers.any(),
            Side::Receiving => self.core.senders.any(),
        };
        if self.core.is_possible(self.side, chooser) { Providers::Open } else { others }
    }

    fn address(&self) -> usize {
        self.core.address()
    }

    fn has_narrowed(&self) -> bool {
        let (ends, left) = match self.side {
            Side::Sending => (&self.core.receivers, &self.core.receivers_left),
            Side::Receiving => (&self.core.senders, &self.core.senders_left),
        };
        left.witness();
        ends.have_narrowed()
    }

    fn name(&self) -> String {
        let channel = self.core.made.name("channel");
        match self.side {
            Side::Sending => format!("room in {channel}"),
            Side::Receiving => format!("an item of {channel}"),
        }
    }
}

/// What a choice waits for.
struct AnyOf<'a> {
    arms: &'a [&'a dyn Arm],
    /// Once the task is in line.
    chooser: Option<&'a Chooser>,
}

impl Resource for AnyOf<'_> {
    fn providers(&self) -> Providers {
        let mut tasks = Vec::new();
        for arm in self.arms {
            match arm.providers(self.chooser) {
                Providers::Any(any) if !any.is_empty() || seeded(Bug::GrantedWaits) => tasks.extend(any),
                // Somebody may have an end; or whoever let the last one go is about to close the channel.
                _ => return Providers::Open,
            }
        }
        // Asked last: whoever has been served meanwhile waits for nobody, whether it knows that or not.
        match self.chooser.is_some_and(Chooser::is_claimed) && !seeded(Bug::GrantedWaits) {
            true => Providers::Open,
            false => Providers::Any(tasks),
        }
    }

    fn is_about(&self, what: usize) -> bool {
        self.arms.iter().any(|arm| arm.address() == what)
    }

    fn has_narrowed(&self) -> bool {
        // Each is asked: what happened there has then happened here.
        self.arms.iter().fold(false, |narrowed, arm| arm.has_narrowed() | narrowed)
    }

    fn name(&self) -> String {
        let names: Vec<_> = self.arms.iter().map(|arm| arm.name()).collect();
        names.join(" or ")
    }
}

/// Does one of the operations: the first, in the order given, that need not wait, and if all have to, whichever comes to
/// be done first. Returns its index; `None` if no operation is done within `limit`, if there is one (a time of zero is a
/// try).
pub(super) fn choose(arms: &[&dyn Arm], op: Op, limit: Option<Duration>) -> Result<Option<usize>, WaitError> {
    let mut resource = AnyOf { arms, chooser: None };
    let is_try = limit.is_some_and(|limit| limit.is_zero() || wait::timeouts_any_time() == Some(true));
    let Some((first, rest)) = arms.split_first() else {
        // Nothing will ever come of no operation.
        return match limit {
            Some(_) => Ok(None),
            None => wait::door(Request::new(&resource, op), |inside| {
                let (_setter, never) = slot::<usize>(None);
                inside.until(&never).map(|_| None)
            }),
        };
    };
    rest.iter().for_each(|arm| arm.object().observe_with(first.object()));
    if is_try {
        first.object().step(op, Kind::TryPop);
        return Ok(attempt(arms, None));
    }
    let kind = if rest.is_empty() && limit.is_none() { first.kind() } else { Kind::TryPop };
    first.object().arrive(op, kind, &resource)?;
    if seeded(Bug::ComingWaits) {
        wait::door(Request { arrival: Arrival::Made, ..Request::new(&resource, op) }, |_| {
            Ok::<_, WaitError>(())
        })?;
    }
    let (setter, fired) = slot(None);
    let chooser = Arc::new(Chooser(platform::Mutex::new(Some(setter))));
    if let Some(done) = attempt(arms, Some(&chooser)) {
        // Nobody else knows the chooser; that it is given up means nothing.
        return Ok(Some(done));
    }
    // The wait begins when the task is in line: two who come from both sides at once do not wait for each other.
    resource.chooser = Some(&chooser);
    let request = Request { arrival: Arrival::Made, timed: limit.is_some(), ..Request::new(&resource, op) };
    let fired_in_time = wait::door(request, |inside| match limit {
        None => inside.until(&fired).map(Some),
        Some(limit) => inside.until_timeout(&fired, first.object(), Some(limit)),
    });
    let fired_in_time = match fired_in_time {
        Ok(Some(fired)) => Ok(Some(fired)),
        // Over, unless it is just being done: what has been handed over is not lost.
        ended => match chooser.claim() {
            Some(_) => ended,
            None => wait::surely(&fired).map(Some),
        },
    };
    arms.iter().for_each(|arm| arm.leave());
    let index = |settled: Result<usize, _>| settled.expect("whoever claims it tells");
    fired_in_time.map(|fired| fired.map(index))
}

/// Tries the operations in their order; if all have to wait and there is a chooser, gets in line for all of them. Their
/// channels stand still meanwhile.
fn attempt(arms: &[&dyn Arm], chooser: Option<&Arc<Chooser>>) -> Option<usize> {
    let mut locks: Vec<_> = arms.iter().map(|arm| arm.lock()).collect();
    // In one order everywhere, and each once.
    locks.sort_by_key(|lock| std::ptr::from_ref(*lock).addr());
    locks.dedup_by_key(|lock| std::ptr::from_ref(*lock).addr());
    let locked: Vec<_> = locks.iter().map(|lock| lock.lock()).collect();
    for (index, arm) in arms.iter().enumerate() {
        match arm.try_it() {
            Tried::Waits => {}
            Tried::Closed => return Some(index),
            Tried::Done((), served) => {
                drop(locked);
                served.tell();
                return Some(index);
            }
        }
    }
    if let Some(chooser) = chooser {
        arms.iter().enumerate().for_each(|(index, arm)| arm.get_in_line(chooser, index));
    }
    None
}

/// Several operations on channels, of which one is to be done; [`select!`](crate::select) is the convenient form.
///
/// The operations are tried in the order in which they were added.
#[derive(Default)]
pub struct Select<'a> {
    arms: Vec<Box<dyn Arm + 'a>>,
}

/// An operation of a [`Select`], by which its outcome is taken.
pub struct Chosen<'a, T> {
    index: usize,
    core: &'a Arc<Core<T>>,
    side: Side,
    parcel: Parcel<T>,
}

/// What comes of a [`Select`].
#[derive(Debug)]
pub struct Outcome {
    index: Option<usize>,
    error: RefCell<Option<WaitError>>,
}

impl<'a> Select<'a> {
    /// No operation yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds: to receive.
    pub fn recv<T: Send>(&mut self, receiver: &'a Receiver<T>) -> Chosen<'a, T> {
        self.add(OneSide::new(receiver.core(), Side::Receiving, None))
    }

    /// Adds: to send this item.
    pub fn send<T: Send>(&mut self, sender: &'a Sender<T>, item: T) -> Chosen<'a, T> {
        self.add(OneSide::new(sender.core(), Side::Sending, Some((item, wait::Stamp::here()))))
    }

    fn add<T: Send>(&mut self, arm: OneSide<'a, T>) -> Chosen<'a, T> {
        let chosen =
            Chosen { index: self.arms.len(), core: arm.core, side: arm.side, parcel: arm.parcel.clone() };
        self.arms.push(Box::new(arm));
        chosen
    }

    /// Waits until one of the operations is done. An error of the wait itself is told to the first.
    ///
    /// # Blocking
    ///
    /// Until one can be done. It is a deadlock if all ends that could do that are bound, and their tasks are stuck.
    #[track_caller]
    #[must_use]
    pub fn wait(self) -> Outcome {
        self.within("select".into_op(), None)
    }

    /// The same, for at most this long.
    ///
    /// # Blocking
    ///
    /// As [`wait`](Self::wait), and no verdict rests on it. With a time of zero it does not wait.
    #[track_caller]
    #[must_use]
    pub fn wait_timeout(self, timeout: Duration) -> Outcome {
        self.within("select".into_op(), Some(timeout))
    }

    fn within(self, op: Op, limit: Option<Duration>) -> Outcome {
        let arms: Vec<&dyn Arm> = self.arms.iter().map(|arm| &**arm as &dyn Arm).collect();
        match choose(&arms, op, limit) {
            Ok(index) => Outcome { index, error: RefCell::new(None) },
            Err(error) => Outcome { index: Some(0), error: RefCell::new(Some(error)) },
        }
    }
}

impl Outcome {
    /// Whether it is this operation that is done.
    #[must_use]
    pub fn is<T>(&self, chosen: &Chosen<'_, T>) -> bool {
        self.index == Some(chosen.index)
    }

    /// Whether the time was up first.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.index.is_none()
    }
}

impl<T: Send> Chosen<'_, T> {
    /// What was received.
    ///
    /// # Errors
    ///
    /// As [`Receiver::recv`].
    ///
    /// # Panics
    ///
    /// If it is an operation that sends.
    pub fn received(self, outcome: &Outcome) -> Result<T, RecvError> {
        assert!(self.side == Side::Receiving, "what is sent is not received");
        let item = self.parcel.lock().take();
        error::received(item, outcome.error.take())
    }

    /// Whether it was sent.
    ///
    /// # Errors
    ///
    /// As [`Sender::send`].
    ///
    /// # Panics
    ///
    /// If it is an operation that receives.
    pub fn sent(self, outcome: &Outcome) -> Result<(), SendError<T>> {
        assert!(self.side == Side::Sending, "what is received is not sent");
        let item = self.parcel.lock().take();
        error::sent(item, outcome.error.take())
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.arms.iter().map(|arm| arm.name()).collect();
        f.debug_tuple("Select").field(&names).finish()
    }
}

impl<T> fmt::Debug for Chosen<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.core.made.name("channel");
        f.debug_struct("Chosen").field("index", &self.index).field("channel", &name).finish_non_exhaustive()
    }
}
