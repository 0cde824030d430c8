//! What a task does, and where in the source: the words of every report.

use std::fmt;
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
/// assert!(op.site.line > 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Op {
    /// What the operation is called in reports.
    pub label: &'static str,
    /// Where it was asked for.
    pub site: Site,
}

impl Op {
    /// An operation asked for on the caller's line.
    #[track_caller]
    #[must_use]
    pub fn new(label: &'static str) -> Self {
        Self { label, site: Location::caller().into() }
    }

    /// An operation that no line of the program asked for by itself.
    pub(crate) const fn unasked(label: &'static str) -> Self {
        Self { label, site: Site { file: "", line: 0, column: 0 } }
    }

    /// An operation asked for elsewhere, such as on a line of a script.
    #[must_use]
    pub const fn at(label: &'static str, site: Site) -> Self {
        Self { label, site }
    }
}

/// Waits as lines in columns: what each says, its operation, and the line of the source.
pub(crate) fn in_columns(waits: &[(String, Op)]) -> impl Iterator<Item = String> {
    let widest = |text: &dyn Fn(&(String, Op)) -> usize| waits.iter().map(text).max().unwrap_or(0);
    let wide = widest(&|(says, _)| says.chars().count());
    let label = widest(&|(_, op)| op.label.chars().count());
    waits.iter().map(move |(says, op)| format!("  {says:wide$}   {:label$}  {}", op.label, op.site))
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
