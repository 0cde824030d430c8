//! What a primitive is called, and who took it where.

use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::wait::{At, Op, Site};

/// The label of a primitive, the line that made it, and, if that is kept, the line that last took it.
pub(crate) struct Made {
    op: Op,
    taken: AtomicPtr<u8>,
}

static KEPT: AtomicBool = AtomicBool::new(true);

/// Whether locks note the line that takes them, so that reports can name it: on until it is switched off. It costs a
/// store for each time that one is taken.
pub fn keep_lines(keep: bool) {
    KEPT.store(keep, Ordering::Relaxed);
}

impl Made {
    /// Made by this.
    pub(crate) const fn at(op: Op) -> Self {
        Self { op, taken: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Taken on the line of this operation.
    #[inline]
    pub(crate) fn is_taken(&self, op: Op) {
        if KEPT.load(Ordering::Relaxed) {
            self.taken.store(op.parts().1.to_ptr(), Ordering::Relaxed);
        }
    }

    /// Where it was taken last.
    pub(crate) fn taken(&self) -> Option<Site> {
        At::of_ptr(self.taken.load(Ordering::Relaxed)).map(At::site)
    }

    /// As reports call it, being a `kind` of thing.
    pub(crate) fn name(&self, kind: &str) -> String {
        match (self.op.label, self.op.site().line) {
            ("", 0) => format!("a {kind} without a name"),
            ("", _) => format!("the {kind} made at {}", self.op.site()),
            (label, _) => format!("{kind} `{label}`"),
        }
    }
}
