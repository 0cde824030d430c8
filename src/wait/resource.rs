//! What a task waits for.

use super::lineage::Activation;
use super::op::Op;
use super::task::TaskId;

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

    /// Whether this is a job that its owner, which serves while it waits for `awaited`, has not begun and runs
    /// in any case: it belongs to what is awaited.
    fn is_served(&self, awaited: Option<Activation>) -> bool {
        let _ = awaited;
        false
    }

    /// Whether this is a job that its owner, which serves while it waits, has not begun: then the news that
    /// somebody needs it is handed to that owner.
    fn hand_over(&self) -> bool {
        false
    }
}
