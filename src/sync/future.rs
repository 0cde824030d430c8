//! A slot's value as a future.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::slot::{Reader, Settled};
use crate::platform;

/// What comes of a slot: polled by any executor, woken by whoever settles it.
pub(crate) struct Arriving<V>(Arc<platform::Mutex<Arrived<V>>>);

struct Arrived<V> {
    value: Option<Settled<V>>,
    waker: Option<Waker>,
}

impl<V: Send + 'static> Arriving<V> {
    pub(crate) fn of<X>(reader: Reader<V, X>) -> Self {
        let arrived = Arc::new(platform::Mutex::new(Arrived { value: None, waker: None }));
        let arriving = Self(arrived.clone());
        reader.then(move |value| {
            let mut arrived = arrived.lock();
            arrived.value = Some(value);
            let waker = arrived.waker.take();
            drop(arrived);
            waker.into_iter().for_each(Waker::wake);
        });
        arriving
    }

    /// The value, once.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Settled<V>> {
        let mut arrived = self.0.lock();
        if let Some(value) = arrived.value.take() {
            return Poll::Ready(value);
        }
        let before = arrived.waker.replace(context.waker().clone());
        drop(arrived);
        drop(before);
        Poll::Pending
    }
}
