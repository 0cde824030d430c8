//! The answer to a call, as a future.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::error::{CallError, Closed};
use super::job::Call;
use super::panics::Outcome;
use crate::sync::{Abandoned, Arriving, Reader};
use crate::wait::{Kind, Object, Op};

/// The future of what a job returns. See [`Handle::call_async`](crate::Handle::call_async).
#[must_use = "the job is queued; dropping its answer takes it back if it has not begun"]
pub struct Answer<R> {
    arriving: Arriving<Outcome<R>>,
    /// What is taken back if the answer is not wanted any more.
    call: Option<Arc<dyn TakeBack>>,
    mailbox: Object,
    closed: Closed,
}

/// A call that may be taken back.
trait TakeBack: Send + Sync {
    fn take_back(&self);
}

impl<R: Send, F: Send> TakeBack for Call<R, F> {
    fn take_back(&self) {
        self.extra.leave();
    }
}

impl<R: Send + 'static> Answer<R> {
    pub(super) fn new<F: Send + 'static>(call: Arc<Call<R, F>>, mailbox: Object, closed: Closed) -> Self {
        Self { arriving: Arriving::of(Reader(call.clone())), call: Some(call), mailbox, closed }
    }
}

impl<R: Send + 'static> Future for Answer<R> {
    type Output = Result<R, CallError>;

    /// # Panics
    ///
    /// Never. Polled after it is ready, it stays pending.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.arriving.poll(context));
        self.call = None;
        Poll::Ready(match answer {
            Ok(result) => result.map_err(|panicked| (*panicked).into()),
            Err(Abandoned) => Err(self.closed.clone().into()),
        })
    }
}

impl<R> Drop for Answer<R> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.mailbox.step(Op::unasked("drop of the answer"), Kind::Look);
            call.take_back();
        }
    }
}

impl<R> fmt::Debug for Answer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("owner", &self.closed.owner).finish_non_exhaustive()
    }
}
