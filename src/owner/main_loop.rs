//! The loop itself, and serving while it waits.

use std::any::Any;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::handle::{Handle, Shared};
use super::job::Job;
use super::mailbox::Next;
use super::policy::WaitOnOwner;
use crate::wait::{Activation, Local, Object, Scope, Server, Task};

/// The loop of an owner, not yet running: for a thread that exists already, such as the main thread of a UI.
///
/// Made by [`Builder::attach`](super::Builder::attach). Dropped without being run, it refuses what was queued.
pub struct OwnerLoop<T: 'static> {
    pub(super) duty: Duty<T>,
    pub(super) task: Task,
    pub(super) state: T,
}

/// The duty to run what the mailbox accepts. Dropped, whether the loop has ended, never ran or fell over, it
/// refuses the rest.
pub(super) struct Duty<T: 'static>(pub(super) Arc<Shared<T>>);

impl<T> Drop for Duty<T> {
    fn drop(&mut self) {
        self.0.mailbox.abandon();
    }
}

impl<T: 'static> OwnerLoop<T> {
    /// Runs jobs on the calling thread until the owner is closed, by [`Handle::close`], and has run everything
    /// it accepted. Then drops the state.
    ///
    /// # Blocking
    ///
    /// The calling thread is the owner thread until then. An idle owner is not an edge of the wait-for graph.
    pub fn run(self) {
        let Self { duty, task, state } = self;
        task.run(|me| serve_all(me, &duty, state));
    }

    /// A handle to the owner.
    #[must_use]
    pub fn handle(&self) -> Handle<T> {
        Handle::new(self.duty.0.clone())
    }
}

impl<T: 'static> fmt::Debug for OwnerLoop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerLoop").field("owner", &self.duty.0.name).finish_non_exhaustive()
    }
}

/// A job of an owner, on the stack of the owner's thread: the data of its [`Scope`].
pub(super) struct Frame {
    pub(super) owner: Arc<str>,
    pub(super) policy: WaitOnOwner,
    pub(super) state: Rc<dyn Any>,
}

/// The name and the policy of the owner that a job of which is on this task's stack, the innermost one.
pub(crate) fn on_owner_thread(me: &Local) -> Option<(Arc<str>, WaitOnOwner)> {
    let scopes = me.scopes.borrow();
    let frame = scopes.iter().rev().find_map(|scope| scope.data.downcast_ref::<Frame>())?;
    Some((frame.owner.clone(), frame.policy))
}

/// Everything that runs on the owner thread, from the first job to the drop of the state.
pub(super) fn serve_all<T: 'static>(me: &Rc<Local>, duty: &Duty<T>, state: T) {
    let shared = &duty.0;
    let state = Rc::new(state);
    let frame = Frame { owner: shared.name.clone(), policy: shared.policy, state: state.clone() };
    let runner = Rc::new(Runner { me: me.clone(), shared: shared.clone(), frame: Rc::new(frame), state });
    me.manner.set(shared.policy.manner());
    *me.server.borrow_mut() = Some(runner.clone());
    loop {
        match shared.mailbox.next() {
            Next::Run(job) => runner.run(job),
            // An execution of an explorer that comes to its end ends this too.
            Next::Park if me.park().is_err() => break,
            Next::Park => {}
            Next::End => break,
        }
    }
    *me.server.borrow_mut() = None;
}

/// Runs jobs on the state of one owner.
struct Runner<T: 'static> {
    me: Rc<Local>,
    shared: Arc<Shared<T>>,
    frame: Rc<Frame>,
    state: Rc<T>,
}

impl<T> Runner<T> {
    fn run(&self, job: Job<T>) {
        let scope = Scope { key: self.shared.key, op: job.op, data: self.frame.clone() };
        self.me.within(scope, job.lineage, || (job.body)(&self.state));
    }
}

/// The jobs that the owner runs while it waits.
impl<T> Server for Runner<T> {
    fn object(&self) -> Object {
        self.shared.mailbox.object()
    }

    fn has_job(&self, awaited: &[Activation]) -> bool {
        self.shared.mailbox.has_one_of(awaited)
    }

    fn run_job(&self, awaited: &[Activation]) {
        if let Some(job) = self.shared.mailbox.next_of(awaited) {
            self.run(job);
        }
    }
}
