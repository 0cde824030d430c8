//! On whose behalf a task acts.
//!
//! An activation is a run or a call in progress. The lineage of a task or a job is the chain of activations
//! that led to it. An owner that serves while it waits takes from its queue the jobs whose lineage holds what
//! it waits for. (The same idea as the `JoinableTask` chain of .NET's JoinableTaskFactory.)

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A run or a call in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Activation(u64);

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
        Self(mine.unwrap_or_else(|_| NEXT.fetch_add(1, Ordering::Relaxed)))
    }
}

/// A chain of activations, the innermost first. Cloning shares it, and a chain of one costs no allocation.
#[derive(Clone, Default)]
pub(crate) struct Lineage {
    innermost: Option<Activation>,
    outer: Option<Arc<Self>>,
}

impl Lineage {
    /// This chain with one activation more.
    pub(crate) fn with(&self, activation: Activation) -> Self {
        let outer = self.innermost.map(|_| Arc::new(self.clone()));
        Self { innermost: Some(activation), outer }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lineage_descends_from_each_activation_in_it_and_from_no_other() {
        let [run, call, other] = std::array::from_fn(|_| Activation::begin());
        let lineage = Lineage::default().with(run).with(call);
        assert!(lineage.descends_from(&[run]));
        assert!(lineage.descends_from(&[other, call]));
        assert!(!lineage.descends_from(&[other]));
        assert!(!lineage.descends_from(&[]));
    }
}
