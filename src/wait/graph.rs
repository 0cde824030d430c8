//! The wait-for graph as pure data: is there a cycle through this task?
//!
//! Nothing here knows of threads. The detector asks with the live program behind the trait, the property
//! tests ask with a table and compare the answer with petgraph's.

/// A wait-for graph in which each wait can be ended by one provider, so that a cycle is a deadlock and
/// nothing else is.
///
/// The graph may change while it is read.
pub trait WaitFor {
    /// Who waits and who provides.
    type Task: Copy + PartialEq;
    /// One wait of one task.
    type Wait: Copy + PartialEq;

    /// The wait that `task` is in, or `None` if it runs (or waits for something that anybody can end).
    fn waiting(&self, task: Self::Task) -> Option<Self::Wait>;

    /// The task that alone can end `wait`, or `None` if it has been granted.
    fn provider(&self, wait: Self::Wait) -> Option<Self::Task>;
}

/// One step around a cycle: `task` is in `wait`, which only `provider` can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<T, W> {
    /// Who waits.
    pub task: T,
    /// Its wait.
    pub wait: W,
    /// Who alone can end it: the task of the next step.
    pub provider: T,
}

/// A cycle, from the task that asked around to it again.
pub type Cycle<G> = Vec<Step<<G as WaitFor>::Task, <G as WaitFor>::Wait>>;

/// Follows the graph from `me` until it comes back, and returns what was read on the way: a cycle, if the
/// graph did not change meanwhile. [`confirm`] says whether it did.
///
/// A tail into a cycle that `me` is not part of ends by Brent's algorithm (R. P. Brent, "An improved Monte
/// Carlo factorization algorithm", BIT 20, 1980): the turtle jumps to the hare at each power of two, so the
/// walk is at most three times as long as tail and cycle together.
pub fn chase<G: WaitFor>(graph: &G, me: G::Task) -> Option<Cycle<G>> {
    let mut cycle = Vec::new();
    let (mut task, mut turtle) = (me, me);
    let (mut steps, mut power) = (0, 1);
    loop {
        let wait = graph.waiting(task)?;
        let provider = graph.provider(wait)?;
        cycle.push(Step { task, wait, provider });
        if provider == me {
            return Some(cycle);
        }
        if provider == turtle {
            return None;
        }
        steps += 1;
        if steps == power {
            (turtle, steps, power) = (provider, 0, power * 2);
        }
        task = provider;
    }
}

/// Whether a cycle that was read step by step stood all at once: a second look, from the last step back to
/// the first.
///
/// The last task waits for what the asker provides, and the asker is here, so it is stuck. What a stuck task
/// provides it keeps, so the task before it is stuck, and so on around. Reading forwards once is not enough: a
/// provider may have given away what it was seen to hold before it was seen to wait.
#[must_use]
pub fn confirm<G: WaitFor>(graph: &G, cycle: &Cycle<G>) -> bool {
    cycle.iter().rev().all(|step| {
        graph.provider(step.wait) == Some(step.provider) && graph.waiting(step.task) == Some(step.wait)
    })
}
