//! What a task waits for.

use super::lineage::Activation;
use super::op::Op;
use super::task::TaskId;

/// What the owner of a queued job does with it while it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum HandOver {
    /// Nothing: it is no such job, or has begun.
    No,
    /// It serves the job: it belongs to what is awaited.
    Served,
    /// It serves the job from now on: somebody needs it.
    Needed,
}

/// Something that a task waits for and that one other task can give.
///
/// It is looked at by other tasks, and only during a look (see `registry.rs`): whoever waits for it keeps it
/// alive until the look is over.
pub(crate) trait Resource: Sync {
    /// The task that alone can end a wait for this, or `None` when nobody in particular can: such a wait
    /// counts as live.
    ///
    /// Cleared before the wait is granted, so that a task that is about to be woken is never taken for one
    /// that waits.
    fn provider(&self) -> Option<TaskId>;

    /// What it is called in a report, after "waits for": ``run #1 of session `inference` ``.
    fn name(&self) -> String;

    /// What to say of the fact that the provider waits itself, in the middle of this operation.
    fn remark(&self, provider_is_in: Op) -> Option<String> {
        let _ = provider_is_in;
        None
    }

    /// If this is a job that its owner, which serves while it waits for `awaited`, has not begun: whether it
    /// serves it in any case, and if not, hands over the news that somebody needs it.
    fn hand_over(&self, awaited: Option<Activation>) -> HandOver {
        let _ = awaited;
        HandOver::No
    }
}
