//! On whose behalf a task acts.
//!
//! An activation is a run or a call in progress. The lineage of a task or a job is the chain of activations
//! that led to it. An owner that serves while it waits takes from its queue the jobs whose lineage holds what
//! it waits for. (The same idea as the `JoinableTask` chain of .NET's JoinableTaskFactory.)

use std::cell::{Cell, RefCell};
use std::fmt;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use super::cancel::Cancel;
use super::task;

/// A run or a call in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Activation(NonZeroU64);

impl Activation {
    /// One that nobody has had before.
    pub(crate) fn begin() -> Self {
        // A plain counter, whatever the platform: nothing is ordered by it. Each thread takes a block at a time,
        // so that callers on many threads do not fight for it.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        const BLOCK: u64 = 1024;
        thread_local! {
            static MINE: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
        }
        let mine = MINE.try_with(|mine| {
            let (next, end) = mine.get();
            let next = if next < end { next } else { NEXT.fetch_add(BLOCK, Ordering::Relaxed) };
            mine.set((next + 1, if next < end { end } else { next + BLOCK }));
            next
        });
        // In the last moments of a thread a single one.
        let number = mine.unwrap_or_else(|_| NEXT.fetch_add(1, Ordering::Relaxed));
        Self(NonZeroU64::new(number).expect("they are counted from 1"))
    }
}

/// On whose behalf something is done: the chain of runs and calls in progress that led to it.
///
/// Calls, posts, runs and [`thread::spawn`](crate::thread::spawn) hand it on by themselves. Where work goes to a
/// thread of somebody else's (a pool, an executor), take [`current`](Self::current) along and
/// [`enter`](Self::enter) it there: so an owner that serves while it waits knows that the work is part of what it
/// waits for, and a cancelled run reaches it.
///
/// ```
/// use impasse::Lineage;
/// let lineage = Lineage::current();
/// std::thread::spawn(move || lineage.enter(|| { /* acts on behalf of whoever made it */ })).join().unwrap();
/// ```
#[derive(Clone, Default)]
pub struct Lineage {
    innermost: Option<Activation>,
    outer: Option<Arc<Self>>,
    /// Of the innermost run.
    cancel: Option<Arc<Cancel>>,
}

impl Lineage {
    /// That of the calling task.
    #[must_use]
    #[inline]
    pub fn current() -> Self {
        task::current().behalf.0.borrow().lineage.clone()
    }

    /// Does `body` on this behalf. A call from inside of it onto an owner is queued, even if a job of that owner
    /// is what the lineage comes from.
    pub fn enter<R>(&self, body: impl FnOnce() -> R) -> R {
        task::current().behalf.during(self.clone(), None, body)
    }

    /// A future that is polled on this behalf, by whichever thread polls it.
    pub fn follow<F: Future>(&self, future: F) -> Following<F> {
        Following { lineage: self.clone(), future: Box::pin(future) }
    }

    /// Whether one of these activations is in the chain.
    pub(crate) fn descends_from(&self, any_of: &[Activation]) -> bool {
        self.iter().any(|activation| any_of.contains(&activation))
    }

    fn iter(&self) -> impl Iterator<Item = Activation> {
        std::iter::successors(Some(self), |lineage| lineage.outer.as_deref())
            .filter_map(|lineage| lineage.innermost)
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A future with a lineage. See [`Lineage::follow`].
#[derive(Debug)]
pub struct Following<F> {
    lineage: Lineage,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for Following<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { lineage, future } = self.get_mut();
        lineage.enter(|| future.as_mut().poll(context))
    }
}

/// On whose behalf a task acts now.
#[derive(Default)]
pub(crate) struct Behalf(RefCell<Acting>);

/// On whose behalf something is done, and in which form that is handed on: it is made once, however often it is.
#[derive(Default)]
struct Acting {
    lineage: Lineage,
    shared: Option<Arc<Lineage>>,
}

impl Behalf {
    /// The lineage as jobs and threads get it; none if nothing led here.
    #[inline(always)]
    pub(crate) fn shared(&self) -> Option<Arc<Lineage>> {
        if self.0.borrow().lineage.innermost.is_none() { None } else { Some(self.share()) }
    }

    fn share(&self) -> Arc<Lineage> {
        let Acting { lineage, shared } = &mut *self.0.borrow_mut();
        shared.get_or_insert_with(|| Arc::new(lineage.clone())).clone()
    }

    /// The chain with one more activation: a call's, or that of a run, which can be cancelled.
    #[inline(always)]
    pub(crate) fn with(&self, activation: Activation, cancel: Option<Arc<Cancel>>) -> Lineage {
        let cancel = cancel.or_else(|| self.cancel());
        Lineage { innermost: Some(activation), outer: self.shared(), cancel }
    }

    /// Of the innermost run that the task acts on behalf of.
    pub(crate) fn cancel(&self) -> Option<Arc<Cancel>> {
        self.0.borrow().lineage.cancel.clone()
    }

    /// Asks about each run that the task acts on behalf of, and that can be cancelled.
    #[inline(always)]
    pub(super) fn each_cancel(&self, ask: impl FnMut(&Cancel)) {
        if let Some(cancel) = &self.0.borrow().lineage.cancel {
            cancel.all().for_each(ask);
        }
    }

    /// From now on the task acts on this behalf.
    pub(crate) fn set(&self, lineage: Lineage) {
        drop(self.0.replace(Acting { lineage, shared: None }));
    }

    /// Does `body` on behalf of `lineage`, which may be there in the form in which it is handed on.
    pub(crate) fn during<R>(
        &self,
        lineage: Lineage,
        shared: Option<Arc<Lineage>>,
        body: impl FnOnce() -> R,
    ) -> R {
        /// Puts things back, on unwinding too.
        struct Restore<'a>(&'a Behalf, Acting);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                std::mem::swap(&mut *self.0.0.borrow_mut(), &mut self.1);
            }
        }
        let _restore = Restore(self, self.0.replace(Acting { lineage, shared }));
        body()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lineage_descends_from_each_activation_in_it_and_from_no_other() {
        let [run, call, other] = std::array::from_fn(|_| Activation::begin());
        let behalf = Behalf::default();
        behalf.set(behalf.with(run, None));
        let lineage = behalf.with(call, None);
        assert!(lineage.descends_from(&[run]));
        assert!(lineage.descends_from(&[other, call]));
        assert!(!lineage.descends_from(&[other]));
        assert!(!lineage.descends_from(&[]));
    }
}
