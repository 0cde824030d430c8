//! The word by which a task sleeps and is woken.

use super::atomic::{AtomicU32, Ordering};
use super::{Bug, seeded};

/// Whether there is a token, and whether the one task that takes it sleeps until there is.
///
/// ```text
///   EMPTY --- is_taken: no ---> SLEEPS --- leave: wake ---> TOKEN --- is_taken: yes ---> EMPTY
///     `----------------- leave: nobody sleeps ----------------^
/// ```
///
/// As the standard library's `thread::park`, but for whoever knows the word and not the thread. Only from SLEEPS on the
/// task sleeps, and only while it is SLEEPS, so that a token that comes in between is seen.
#[derive(Debug)]
pub(crate) struct Token(AtomicU32);

const EMPTY: u32 = 0;
const TOKEN: u32 = 1;
pub(super) const SLEEPS: u32 = 2;

impl Default for Token {
    fn default() -> Self {
        Self(AtomicU32::new(EMPTY))
    }
}

impl Token {
    /// Takes the token. If there is none, it is SLEEPS.
    #[must_use]
    pub(super) fn is_taken(&self) -> bool {
        if self.0.compare_exchange(EMPTY, SLEEPS, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            return false;
        }
        let order = if seeded(Bug::RelaxedToken) { Ordering::Relaxed } else { Ordering::Acquire };
        self.0.compare_exchange(TOKEN, EMPTY, order, Ordering::Relaxed).is_ok()
    }

    /// Takes the token if there is one, and sleeps no more.
    #[must_use]
    pub(super) fn is_taken_at_last(&self) -> bool {
        self.0.swap(EMPTY, Ordering::Acquire) == TOKEN
    }

    /// Leaves the token; says whether the task has to be woken.
    #[must_use]
    pub(super) fn leave(&self) -> bool {
        if seeded(Bug::WakeByLook) {
            let sleeps = self.0.load(Ordering::Relaxed) == SLEEPS;
            self.0.store(TOKEN, Ordering::Release);
            return sleeps;
        }
        self.0.swap(TOKEN, Ordering::Release) == SLEEPS
    }

    /// What sleeps while it is SLEEPS.
    pub(super) fn word(&self) -> &AtomicU32 {
        &self.0
    }
}
