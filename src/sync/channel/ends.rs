//! Senders and receivers.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::choice::{OneSide, choose};
use super::core::{Core, Side};
use super::error::{
    self, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use crate::sync::ends::{End, Ends, Grip, Left, is_bound, sealed};
use crate::wait::{self, IntoOp, Kind, Op, Stamp, TaskId};

/// A channel that holds as many items as are sent. Reports call it by this line.
#[track_caller]
#[must_use]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    ends(Core::new("".into_op(), None))
}

/// The same by the name that std's has.
#[track_caller]
#[must_use]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    ends(Core::new("".into_op(), None))
}

/// A channel that holds at most this many items: whoever sends more waits. With a capacity of 0 each item goes from hand
/// to hand, and both sides wait for each other. Reports call it by this line.
#[track_caller]
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    ends(Core::new("".into_op(), Some(capacity)))
}

fn ends<T>(core: Arc<Core<T>>) -> (Sender<T>, Receiver<T>) {
    (Sender { core: core.clone(), grip: Grip::first() }, Receiver { core, grip: Grip::first() })
}

/// The end that items are sent from.
pub struct Sender<T> {
    core: Arc<Core<T>>,
    grip: Grip,
}

/// The end that items are received from.
pub struct Receiver<T> {
    core: Arc<Core<T>>,
    grip: Grip,
}

impl<T> Core<T> {
    fn ends(&self, side: Side) -> &Ends {
        match side {
            Side::Sending => &self.senders,
            Side::Receiving => &self.receivers,
        }
    }

    /// By which waits for it are known.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// One end of this side is let go.
    fn let_go(&self, side: Side, grip: &Grip) {
        self.object.step(Op::unasked("drop"), Kind::Close);
        let left = match side {
            Side::Sending => &self.senders_left,
            Side::Receiving => &self.receivers_left,
        };
        left.add_here();
        match grip.let_go(self.ends(side)) {
            Some(Left::Nothing) => {
                left.witness();
                self.close(side);
            }
            // Whoever waits may not have got in line yet.
            Some(Left::Bound) => wait::providers_changed(self.address()),
            _ => {}
        }
    }

    /// One end of this side is this task's from now on.
    fn bind(&self, side: Side, grip: &Grip, task: TaskId) {
        grip.bind(self.ends(side), task);
        is_bound(task, self.address());
    }
}

impl<T: Send> Sender<T> {
    /// Sends an item, waiting for room if the channel is full.
    ///
    /// # Errors
    ///
    /// [`SendError::Disconnected`] if there is no receiver left, [`SendError::Deadlock`] if all receivers are bound to
    /// tasks that are stuck because this one waits, [`SendError::Cancelled`] if the run on whose behalf it waits is
    /// cancelled. The item is given back.
    ///
    /// # Blocking
    ///
    /// Until there is room; with a capacity of 0, until somebody receives the item. Never on an unbounded channel.
    #[track_caller]
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        let arm = self.sends(item);
        let ended = choose(&[&arm], "send".into_op(), None);
        error::sent(arm.item(), ended.err())
    }

    /// Sends an item if it need not wait.
    ///
    /// # Errors
    ///
    /// It would have to wait, or there is no receiver left. The item is given back.
    #[track_caller]
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        let arm = self.sends(item);
        let done = choose(&[&arm], "try_send".into_op(), Some(Duration::ZERO));
        match (arm.item(), done) {
            (None, _) => Ok(()),
            (Some((item, _)), Ok(Some(_))) => Err(TrySendError::Disconnected(item)),
            (Some((item, _)), _) => Err(TrySendError::Full(item)),
        }
    }

    /// As [`send`](Self::send), for at most this long.
    ///
    /// # Errors
    ///
    /// As `send`, but never a deadlock; and the time may be up.
    ///
    /// # Blocking
    ///
    /// As `send`, and no verdict rests on it.
    #[track_caller]
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        let arm = self.sends(item);
        let done = choose(&[&arm], "send_timeout".into_op(), Some(timeout));
        match (arm.item(), done) {
            (None, _) => Ok(()),
            (Some((item, _)), Ok(Some(_))) => Err(SendTimeoutError::Disconnected(item)),
            (Some((item, _)), Ok(None)) => Err(SendTimeoutError::Timeout(item)),
            (Some((item, _)), Err(_)) => Err(SendTimeoutError::Cancelled(item)),
        }
    }

    fn sends(&self, item: T) -> OneSide<'_, T> {
        OneSide::new(&self.core, Side::Sending, Some((item, Stamp::here())))
    }
}

impl<T: Send> Receiver<T> {
    /// Takes the first item, waiting for one if there is none.
    ///
    /// # Errors
    ///
    /// [`RecvError::Disconnected`] if there is no item and no sender left, [`RecvError::Deadlock`] if all senders are
    /// bound to tasks that are stuck because this one waits, [`RecvError::Cancelled`] if the run on whose behalf it
    /// waits is cancelled.
    ///
    /// # Blocking
    ///
    /// Until there is an item, or no sender.
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        let arm = OneSide::new(&self.core, Side::Receiving, None);
        let ended = choose(&[&arm], "recv".into_op(), None);
        error::received(arm.item(), ended.err())
    }

    /// Takes the first item if there is one.
    ///
    /// # Errors
    ///
    /// There is no item; or no sender left either.
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let arm = OneSide::new(&self.core, Side::Receiving, None);
        let done = choose(&[&arm], "try_recv".into_op(), Some(Duration::ZERO));
        match (received(&arm), done) {
            (Some(item), _) => Ok(item),
            (None, Ok(Some(_))) => Err(TryRecvError::Disconnected),
            (None, _) => Err(TryRecvError::Empty),
        }
    }

    /// As [`recv`](Self::recv), for at most this long.
    ///
    /// # Errors
    ///
    /// As `recv`, but never a deadlock; and the time may be up.
    ///
    /// # Blocking
    ///
    /// As `recv`, and no verdict rests on it.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        let arm = OneSide::new(&self.core, Side::Receiving, None);
        let done = choose(&[&arm], "recv_timeout".into_op(), Some(timeout));
        match (received(&arm), done) {
            (Some(item), _) => Ok(item),
            (None, Ok(Some(_))) => Err(RecvTimeoutError::Disconnected),
            (None, Ok(None)) => Err(RecvTimeoutError::Timeout),
            (None, Err(_)) => Err(RecvTimeoutError::Cancelled),
        }
    }

    /// As [`recv_timeout`](Self::recv_timeout), until this moment.
    ///
    /// # Errors
    ///
    /// As `recv_timeout`.
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_timeout(deadline.saturating_duration_since(wait::now()))
    }

    /// The items, until there is no sender left or the wait for one is refused.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }

    /// The items that are there.
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }
}

fn received<T: Send>(arm: &OneSide<'_, T>) -> Option<T> {
    let (item, sent) = arm.item()?;
    sent.witness();
    Some(item)
}

macro_rules! both_ends {
    ($end:ident, $side:expr) => {
        impl<T> $end<T> {
            pub(super) fn core(&self) -> &Arc<Core<T>> {
                &self.core
            }

            /// How many items there are that nobody has received.
            #[must_use]
            pub fn len(&self) -> usize {
                self.core.object.observe();
                self.core.object.step(Op::unasked("len"), Kind::TryPop);
                self.core.len()
            }

            /// Whether there is no item.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether there is no room. Always, with a capacity of 0.
            #[must_use]
            pub fn is_full(&self) -> bool {
                self.core.capacity.is_some_and(|capacity| self.len() >= capacity)
            }

            /// How many items it holds at most; none if it is unbounded.
            #[must_use]
            pub fn capacity(&self) -> Option<usize> {
                self.core.capacity
            }

            /// Whether both are ends of one channel.
            #[must_use]
            pub fn same_channel(&self, other: &Self) -> bool {
                Arc::ptr_eq(&self.core, &other.core)
            }
        }

        /// One more end, which is open even if this one is bound.
        impl<T> Clone for $end<T> {
            fn clone(&self) -> Self {
                let grip = Grip::another(self.core.ends($side));
                Self { core: self.core.clone(), grip }
            }
        }

        impl<T> Drop for $end<T> {
            fn drop(&mut self) {
                self.core.let_go($side, &self.grip);
            }
        }

        impl<T> sealed::Sealed for $end<T> {}

        #[allow(private_interfaces, reason = "nobody else implements it")]
        impl<T: 'static> End for $end<T> {
            fn bind(&self, task: TaskId) {
                self.core.bind($side, &self.grip, task);
            }

            fn let_go(&self) {
                self.core.let_go($side, &self.grip);
            }
        }

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let channel = self.core.made.name("channel");
                f.debug_struct(stringify!($end)).field("channel", &channel).finish_non_exhaustive()
            }
        }
    };
}

both_ends!(Sender, Side::Sending);
both_ends!(Receiver, Side::Receiving);

/// See [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T>(&'a Receiver<T>);

/// See [`Receiver::try_iter`].
#[derive(Debug)]
pub struct TryIter<'a, T>(&'a Receiver<T>);

/// The items of a receiver that is used up by it.
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T: Send> Iterator for Iter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<T: Send> Iterator for TryIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

impl<T: Send> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<'a, T: Send> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T: Send> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}
