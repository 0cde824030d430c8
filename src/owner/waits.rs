//! What others wait for at an owner, as the graph and the reports see it.

use std::sync::Arc;

use super::job::{Errand, Kept};
use super::mailbox::Stands;
use super::panics::Outcome;
use super::shared::Shared;
use crate::sync::Reader;
use crate::wait::{Activation, Lineage, Op, Providers, Resource};

/// The reply that a caller waits for.
pub(super) struct ReplyTo<'a, T, R, F> {
    pub(super) reply: &'a Reader<Outcome<R>, Errand<F>>,
    pub(super) owner: &'a Shared<T>,
}

impl<T, R: Send, F: Send> Resource for ReplyTo<'_, T, R, F> {
    fn providers(&self) -> Providers {
        Providers::one(self.reply.provider())
    }

    fn name(&self) -> String {
        format!("a job on owner `{}`", self.owner.name)
    }

    fn remark(&self, provider_is_in: Op) -> Option<String> {
        Some(format!("the job would be queued behind the one that waits ({})", provider_is_in.label))
    }

    fn is_served(&self, awaited: Option<Activation>) -> bool {
        let errand = &self.reply.0.extra;
        let belongs = awaited.is_some_and(|awaited| errand.lineage.descends_from(&[awaited]));
        belongs && !errand.ticket.has_begun()
    }

    fn hand_over(&self) -> bool {
        self.owner.mailbox.need(&self.reply.0.extra.ticket)
    }
}

/// Room in the queue.
pub(super) struct RoomIn<'a, T> {
    pub(super) owner: &'a Shared<T>,
    /// Of the job that is to have it.
    pub(super) lineage: &'a Lineage,
    /// That job, once it is certain that its sender has to wait.
    pub(super) job: Option<&'a Arc<dyn Kept<T>>>,
}

impl<T> Resource for RoomIn<'_, T> {
    fn providers(&self) -> Providers {
        Providers::one(self.owner.mailbox.waits_for_room(self.job).then_some(self.owner.task))
    }

    fn name(&self) -> String {
        format!("room in the queue of owner `{}`", self.owner.name)
    }

    /// An owner that serves makes room by serving, and the job itself needs none if it is served.
    fn is_served(&self, awaited: Option<Activation>) -> bool {
        awaited.is_some_and(|awaited| {
            self.lineage.descends_from(&[awaited]) || self.owner.mailbox.holds_one_of(awaited)
        })
    }

    fn hand_over(&self) -> bool {
        self.job.is_some_and(|job| self.owner.mailbox.need(job.ticket()))
    }

    fn remark(&self, provider_is_in: Op) -> Option<String> {
        Some(format!("the owner takes no job before it is through with `{}`", provider_is_in.label))
    }
}

/// That the owner has nothing to do.
pub(super) struct Idle<'a, T> {
    pub(super) owner: &'a Shared<T>,
    pub(super) stands: Stands,
}

impl<T> Resource for Idle<'_, T> {
    fn providers(&self) -> Providers {
        Providers::one(self.owner.mailbox.waits_for_idle(&self.stands).then_some(self.owner.task))
    }

    fn name(&self) -> String {
        format!("owner `{}` to have nothing to do", self.owner.name)
    }
}

/// The end of the owner.
pub(super) struct End<'a, T>(pub(super) &'a Shared<T>);

impl<T> Resource for End<'_, T> {
    fn providers(&self) -> Providers {
        Providers::one(self.0.mailbox.how_it_ended().is_none().then_some(self.0.task))
    }

    fn name(&self) -> String {
        format!("the end of owner `{}`", self.0.name)
    }
}
