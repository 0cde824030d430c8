//! What an owner and its handles share.

use std::fmt;
use std::sync::Arc;

use super::backlog::Backlog;
use super::error::{Closed, PostError, Unrun};
use super::job::Job;
use super::mailbox::{Mailbox, Refused};
use super::panics::Backtrace;
use super::policy::WaitOnOwner;
use super::stall::Watch;
use super::trace;
use crate::wait::{Op, TaskId};

/// Is told of posts that will not run.
#[derive(Clone, Default)]
pub(super) struct OnUnrun(pub(super) Option<Arc<dyn Fn(Op, Unrun) + Send + Sync>>);

impl fmt::Debug for OnUnrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a hook" } else { "none" })
    }
}

pub(super) struct Shared<T> {
    pub(super) name: Arc<str>,
    pub(super) task: TaskId,
    pub(super) policy: WaitOnOwner,
    pub(super) mailbox: Mailbox<T>,
    pub(super) backtrace: Backtrace,
    pub(super) on_unrun: OnUnrun,
    pub(super) watch: Option<Watch>,
}

impl<T> Shared<T> {
    pub(super) fn closed(&self) -> Closed {
        Closed { owner: self.name.clone() }
    }

    pub(super) fn refusal(&self, refused: &Refused) -> PostError {
        match refused {
            Refused::Closed => self.closed().into(),
            Refused::Full => {
                let capacity = self.mailbox.capacity.unwrap_or(usize::MAX);
                PostError::Full { owner: self.name.clone(), capacity }
            }
        }
    }

    /// These jobs will not run: whoever waits for one is told, and the hook of the others.
    pub(super) fn refuse(&self, mut jobs: Backlog<T>) {
        let mut job = Job::none();
        while jobs.pop(&mut job) {
            let op = job.about.op();
            if job.refuse() {
                self.will_not_run(op, Unrun::Closed);
            }
        }
    }

    /// Tells the hook of an accepted job that will not run.
    pub(super) fn will_not_run(&self, op: Op, why: Unrun) {
        trace::unrun(&self.name, op, &why);
        if let Some(hook) = &self.on_unrun.0 {
            hook(op, why);
        }
    }
}
