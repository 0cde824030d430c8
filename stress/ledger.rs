//! What became of each job, and what was said of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use impasse::{CallError, Op, Unrun};

use crate::tools;

/// What the sender of a job was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Told {
    /// Nothing that says whether it ran.
    Nothing,
    /// It has run.
    Ran,
    /// It has not, and never will.
    NotRun,
    /// It was accepted, and if it does not run the owner's hook is told.
    Accepted,
}

const TOLD: [Told; 4] = [Told::Nothing, Told::Ran, Told::NotRun, Told::Accepted];

/// One job.
pub struct Fate {
    what: &'static str,
    owner: usize,
    ran: AtomicU32,
    dropped: AtomicU32,
    told: AtomicU8,
}

impl Fate {
    fn tell(&self, told: Told) {
        if told == Told::Ran {
            assert_eq!(self.ran.load(Ordering::Relaxed), 1, "{}: its caller has an answer", self.what);
        }
        self.told.store(told as u8, Ordering::Relaxed);
    }

    /// The answer to a call. `may_have_begun` says whether an error of the wait can come after that.
    pub fn called<R>(&self, answer: &Result<R, CallError>, may_have_begun: bool) {
        tools::step();
        self.tell(match answer {
            Ok(_) | Err(CallError::Panicked(_)) => Told::Ran,
            Err(CallError::Closed(_)) => Told::NotRun,
            Err(CallError::Deadlock(_)) if !may_have_begun => Told::NotRun,
            Err(_) => Told::Nothing,
        });
    }

    pub fn posted<E>(&self, posted: &Result<(), E>) {
        tools::step();
        self.tell(if posted.is_ok() { Told::Accepted } else { Told::NotRun });
    }
}

/// What a job takes along: used once or dropped once.
pub struct Token {
    fate: Option<Arc<Fate>>,
    /// Plain memory, made by one thread and used by another.
    payload: Box<u64>,
}

impl Token {
    /// The job runs.
    pub fn run(mut self) -> Box<u64> {
        if let Some(fate) = self.fate.take() {
            fate.ran.fetch_add(1, Ordering::Relaxed);
        }
        *self.payload += 1;
        tools::step();
        std::mem::take(&mut self.payload)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(fate) = self.fate.take() {
            fate.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The jobs of one sender.
#[derive(Default)]
pub struct Ledger(Vec<Arc<Fate>>);

impl Ledger {
    /// A new job for this owner.
    pub fn enter(&mut self, what: &'static str, owner: usize) -> (Token, Arc<Fate>) {
        let (ran, dropped, told) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU8::new(0));
        let fate = Arc::new(Fate { what, owner, ran, dropped, told });
        self.0.push(fate.clone());
        (Token { fate: Some(fate.clone()), payload: Box::new(self.0.len() as u64) }, fate)
    }

    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Everything has ended, and the hooks of the owners have been told so often.
    pub fn balance(&self, hooks: &[Hook]) {
        let mut unrun = vec![0; hooks.len()];
        for fate in &self.0 {
            let (ran, dropped) = (fate.ran.load(Ordering::Relaxed), fate.dropped.load(Ordering::Relaxed));
            let told = TOLD[usize::from(fate.told.load(Ordering::Relaxed))];
            let says =
                format!("{} to owner {}: ran {ran}, dropped {dropped}, {told:?}", fate.what, fate.owner);
            assert_eq!(ran + dropped, 1, "{says}");
            match told {
                Told::Ran => assert_eq!(ran, 1, "{says}"),
                Told::NotRun => assert_eq!(ran, 0, "{says}"),
                Told::Accepted => unrun[fate.owner] += dropped,
                Told::Nothing => {}
            }
        }
        let told: Vec<_> = hooks.iter().map(|hook| hook.0.load(Ordering::Relaxed)).collect();
        assert_eq!(unrun, told, "accepted and not run, by owner; what their hooks were told");
    }
}

/// The hook of an owner: counts.
#[derive(Clone, Default)]
pub struct Hook(Arc<AtomicU32>);

impl Hook {
    pub fn counts(&self) -> impl Fn(Op, Unrun) + Send + Sync + 'static {
        let count = self.0.clone();
        move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
