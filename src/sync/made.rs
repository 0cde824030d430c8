//! What a primitive is called.

use crate::wait::Op;

/// The label of a primitive, and the line that made it.
pub(crate) struct Made(Op);

impl Made {
    /// Made by this.
    pub(crate) const fn at(op: Op) -> Self {
        Self(op)
    }

    /// As reports call it, being a `kind` of thing.
    pub(crate) fn name(&self, kind: &str) -> String {
        match (self.0.label, self.0.site().line) {
            ("", 0) => format!("a {kind} without a name"),
            ("", _) => format!("the {kind} made at {}", self.0.site()),
            (label, _) => format!("{kind} `{label}`"),
        }
    }
}
