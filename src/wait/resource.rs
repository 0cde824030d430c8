//! What a task waits for.

use super::graph;
use super::lineage::Activation;
use super::op::{Op, Site};
use super::task::TaskId;

/// Who can end a wait.
pub(crate) type Providers = graph::Providers<TaskId>;

/// Something that a task waits for and that others can give.
///
/// It is looked at by other tasks, and only during a look (see `registry.rs`): whoever waits for it keeps it
/// alive until the look is over.
pub(crate) trait Resource: Sync {
    /// Who can end a wait for this.
    ///
    /// A provider is taken away before it grants the wait, so that a task that is about to be woken is never taken
    /// for one that waits. And once the wait is over it names nobody for as long as the edge can be seen, whatever
    /// becomes of the resource meanwhile: whether it was granted by another, refused, or the task took what was there.
    ///
    /// Where any one of several provides, whoever ceases to be one says so, and so does whoever names another task: see
    /// [`providers_changed`](super::providers_changed).
    fn providers(&self) -> Providers;

    /// Whether it is, or is part of, what stands at this address.
    fn is_about(&self, what: usize) -> bool {
        let _ = what;
        false
    }

    /// Whether somebody who could have ended a wait for this has let that go: when that was is no arrival of a wait.
    /// For an explorer that has then happened for the calling task.
    fn has_narrowed(&self) -> bool {
        false
    }

    /// What it is called in a report, after "waits for": ``run #1 of session `inference` ``.
    fn name(&self) -> String;

    /// Where it was taken by one of these tasks, if that is known.
    fn taken(&self, by: &[TaskId]) -> Option<Site> {
        let _ = by;
        None
    }

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
