//! What is asked of an owner, and the loads that a measurement puts on it.

use crate::cpu::Cpu;

/// A thread with a number as its state.
pub trait Owner: Send + Sync + Sized + 'static {
    /// Starts the thread, held on a processor or free to move.
    fn spawn(cpu: Option<Cpu>) -> Self;

    /// Runs `job` on the owner and waits for what it returns.
    fn call(&self, job: impl FnOnce(&mut u64) -> u64 + Send + 'static) -> u64;
}

/// The loads. Every subject gets closures of the same text and size.
pub trait Driven: Send + Sync {
    /// One round trip: adds to the state, and brings back what it is now.
    fn add(&self, n: u64) -> u64;
}

impl<O: Owner> Driven for O {
    fn add(&self, n: u64) -> u64 {
        self.call(move |state| {
            *state = state.wrapping_add(n);
            *state
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::owners::Subject;

    /// What a bench compares must be the same work.
    #[test]
    fn every_owner_runs_every_job_in_order() {
        for subject in Subject::all() {
            let owner = (subject.spawn)(None);
            assert_eq!(owner.add(2), 2, "{subject}");
            assert_eq!(owner.add(3), 5, "{subject}");
        }
    }
}
