//! The error that carries the whole cycle.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::op::{Op, Site, in_columns};

/// One wait of a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hop {
    /// Who waits: ``owner `vm` ``.
    pub task: String,
    /// What for: ``run #1 of session `inference` ``.
    pub waits_for: String,
    /// Who would have to end the wait: the task of the next hop. Where any one of several could, all of them, since
    /// all are part of the deadlock.
    pub held_by: String,
    /// Where that task took what is waited for, where it is known.
    pub taken: Option<Site>,
    /// What the task wanted to do, and the line that says so.
    pub op: Op,
    /// What the task was in the middle of when it began to wait.
    pub during: Option<Op>,
    /// The run on whose behalf it waits, if there is one.
    pub on_behalf_of: Option<String>,
    /// Why the provider cannot end the wait, where that needs saying.
    pub remark: Option<String>,
}

/// Waits none of which can ever end: a cycle, in which each waits for the next and the last for the first, or, where
/// any one of several tasks could end a wait, a knot of them.
///
/// The last hop is the wait that completed it. It did not begin; this was returned instead, and the
/// program goes on. Displays as a drawing, a line for each hop:
///
/// ```text
/// deadlock: 2 tasks wait for each other
///   owner `vm` waits for run #1 of session `inference`      session.run  src/main.rs:41
///   run #1 of `inference` waits for a job on owner `vm`     middleware   src/main.rs:29
///   the job would be queued behind the one that waits (eval)
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Deadlock(Arc<[Hop]>);

impl Deadlock {
    pub(super) fn new(hops: Vec<Hop>) -> Self {
        Self(hops.into())
    }

    /// The waits of the cycle; the last is the one that closed it.
    #[must_use]
    pub fn hops(&self) -> &[Hop] {
        &self.0
    }

    /// Whether both are one report, not only two of the same content.
    #[must_use]
    pub fn is_same_report(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The deadlock that an error is about: the error itself or one of its sources.
    #[must_use]
    pub fn behind<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |error| error.source())
            .find_map(<dyn std::error::Error>::downcast_ref)
    }
}

/// ``thread `a` waits for lock `b` (taken at src/main.rs:12)``
impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for {}", self.task, self.waits_for)?;
        if self.held_by.contains(" or ") {
            write!(f, " from {}", self.held_by)?;
        }
        if let Some(taken) = self.taken {
            write!(f, " (taken at {taken})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deadlock").field(&self.hops()).finish()
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "deadlock: a task waits for itself")?,
            n => write!(f, "deadlock: {n} tasks wait for each other")?,
        }
        let says = |hop: &Hop| (hop.to_string(), hop.op);
        let waits: Vec<_> = self.0.iter().map(says).collect();
        for (line, hop) in in_columns(&waits).zip(&*self.0) {
            write!(f, "\n{line}")?;
            if let Some(remark) = &hop.remark {
                write!(f, "\n  {remark}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Deadlock {}

type Hook = Arc<dyn Fn(&Deadlock) + Send + Sync>;

static HOOK: RwLock<Option<Hook>> = RwLock::new(None);

/// Calls `hook` for every deadlock that is found from now on, on the thread of its victim, before the error is
/// returned: whatever the program does with the error, the report is not lost. The newest hook replaces the
/// one before.
///
/// The hook must not wait for another task.
pub fn on_deadlock(hook: impl Fn(&Deadlock) + Send + Sync + 'static) {
    *HOOK.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
}

pub(super) fn announce(deadlock: &Deadlock) {
    let hook = HOOK.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(hook) = hook {
        hook(deadlock);
    }
}
