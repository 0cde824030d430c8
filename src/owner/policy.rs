//! What a wait on the owner thread does.

use std::fmt;
use std::str::FromStr;

use crate::wait::Manner;

/// What happens when a job on the owner thread waits for background work that may call back to that owner.
///
/// The policy is the owner's; a session may override it for its runs. It is asked only on the owner thread
/// with a job of the owner on the stack. Everywhere else a wait simply waits, watched by the detector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitOnOwner {
    /// It blocks, and the detector does not judge it: the bug itself, for demonstrations and proofs.
    Block,
    /// It blocks, and the wait that would close a cycle returns [`Deadlock`](crate::Deadlock) instead.
    Detect,
    /// It returns an error before anything is started. Locks, and calls onto another owner, are as under
    /// [`Detect`](Self::Detect).
    #[default]
    Reject,
    /// While it waits the owner runs the queued jobs of the awaited work and no others. A cycle that serving
    /// cannot open is reported as under [`Detect`](Self::Detect).
    Serve,
}

impl WaitOnOwner {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Self; 4] = [Self::Block, Self::Detect, Self::Reject, Self::Serve];

    /// The name on the command line: `block`, `detect`, `reject`, `serve`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Detect => "detect",
            Self::Reject => "reject",
            Self::Serve => "serve",
        }
    }

    /// How the waits that are not refused go.
    pub(crate) fn manner(self) -> Manner {
        match self {
            Self::Block => Manner::Unjudged,
            Self::Detect | Self::Reject => Manner::Judged,
            Self::Serve => Manner::Serving,
        }
    }
}

impl fmt::Display for WaitOnOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no [`WaitOnOwner`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no policy is called `{0}`: it is one of block, detect, reject and serve")]
pub struct UnknownPolicy(String);

impl FromStr for WaitOnOwner {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name() == name)
            .ok_or_else(|| UnknownPolicy(name.to_owned()))
    }
}
