//! What a task does, and where in the source: the words of every report.

#![allow(unsafe_code)]

use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::Location;

/// A place in a source file, of this program or of a script that runs inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// The file, as the compiler or the interpreter names it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl From<&'static Location<'static>> for Site {
    fn from(at: &'static Location<'static>) -> Self {
        Self { file: at.file(), line: at.line(), column: at.column() }
    }
}

/// `file:line`, and with `{:#}` the column too.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        if f.alternate() {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// An operation: a label, and the line that asked for it.
///
/// Wherever the API takes one, a `&'static str` will do: the line is then that of the call.
///
/// ```
/// let op = impasse::Op::new("count");
/// assert_eq!(op.label, "count");
/// assert!(op.site().line > 0);
/// ```
#[derive(Clone, Copy)]
pub struct Op {
    /// What the operation is called in reports.
    pub label: &'static str,
    at: At,
}

impl Op {
    /// An operation asked for on the caller's line.
    #[track_caller]
    #[must_use]
    pub fn new(label: &'static str) -> Self {
        Self { label, at: At::line(Location::caller()) }
    }

    /// An operation that no line of the program asked for by itself.
    pub(crate) const fn unasked(label: &'static str) -> Self {
        Self { label, at: At::place(&Site { file: "", line: 0, column: 0 }) }
    }

    /// An operation asked for elsewhere, such as on a line of a script.
    #[must_use]
    pub const fn at(label: &'static str, site: &'static Site) -> Self {
        Self { label, at: At::place(site) }
    }

    /// Another operation of the same line.
    #[must_use]
    pub const fn with_label(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    /// Label and place apart, for whoever packs them.
    pub(crate) const fn parts(self) -> (&'static str, At) {
        (self.label, self.at)
    }

    /// The operation of these parts.
    pub(crate) const fn of_parts(label: &'static str, at: At) -> Self {
        Self { label, at }
    }

    /// Where it was asked for.
    #[must_use]
    pub fn site(self) -> Site {
        self.at.site()
    }
}

impl PartialEq for Op {
    fn eq(&self, other: &Self) -> bool {
        (self.label, self.site()) == (other.label, other.site())
    }
}

impl Eq for Op {}

impl Hash for Op {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.label, self.site()).hash(state);
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Op").field("label", &self.label).field("site", &self.site()).finish()
    }
}

/// A line of this program or a place elsewhere, in one word: every queued job carries one. The pointer leads to
/// a `Location`, or, with its lowest bit set, to a `Site`.
#[derive(Clone, Copy)]
pub(crate) struct At(*const u8);

// SAFETY: it stands for one of two shared references to what lives for ever.
unsafe impl Send for At {}
// SAFETY: as above.
unsafe impl Sync for At {}

impl At {
    const fn line(line: &'static Location<'static>) -> Self {
        const { assert!(align_of::<Location<'_>>() > 1) };
        Self(std::ptr::from_ref(line).cast())
    }

    const fn place(site: &'static Site) -> Self {
        const { assert!(align_of::<Site>() > 1) };
        // One byte into the site: so it stays a pointer, and its lowest bit is set.
        Self(std::ptr::from_ref(site).cast::<u8>().wrapping_add(1))
    }

    /// As what an atomic holds.
    pub(crate) const fn to_ptr(self) -> *mut u8 {
        self.0.cast_mut()
    }

    /// What [`to_ptr`](Self::to_ptr) gave, or nothing for null.
    pub(crate) fn of_ptr(at: *mut u8) -> Option<Self> {
        (!at.is_null()).then_some(Self(at))
    }

    pub(crate) fn site(self) -> Site {
        if self.0.addr() & 1 == 0 {
            // SAFETY: made by `line` from a reference that lives for ever: a place's lowest bit is set.
            unsafe { &*self.0.cast::<Location<'static>>() }.into()
        } else {
            // SAFETY: made by `place` from a reference that lives for ever: a line's lowest bit is not set.
            unsafe { *self.0.wrapping_sub(1).cast::<Site>() }
        }
    }
}

/// Waits as lines in columns: what each says, its operation, and the line of the source.
pub(crate) fn in_columns(waits: &[(String, Op)]) -> impl Iterator<Item = String> {
    let widest = |text: &dyn Fn(&(String, Op)) -> usize| waits.iter().map(text).max().unwrap_or(0);
    let wide = widest(&|(says, _)| says.chars().count());
    let label = widest(&|(_, op)| op.label.chars().count());
    waits.iter().map(move |(says, op)| format!("  {says:wide$}   {:label$}  {}", op.label, op.site()))
}

/// A label, or a whole [`Op`].
pub trait IntoOp {
    /// The operation; a bare label takes the caller's line.
    #[track_caller]
    fn into_op(self) -> Op;
}

impl IntoOp for &'static str {
    #[track_caller]
    fn into_op(self) -> Op {
        Op::new(self)
    }
}

impl IntoOp for Op {
    fn into_op(self) -> Op {
        self
    }
}
