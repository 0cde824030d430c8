//! The loop itself, and serving while it waits.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use super::about::About;
use super::error::Panicked;
use super::job::{Job, Plain, Sent};
use super::mailbox::{Batch, Next};
use super::panics::{Backtrace, Outcome, caught};
use super::policy::WaitOnOwner;
use super::resilience::{AfterPanic, OnPanic};
use super::shared::Shared;
use super::work::{On, Work};
use super::{Handle, trace};
use crate::platform;
use crate::wait::{Activation, Lineage, Local, Object, Op, Server, Task};

/// The loop of an owner, not yet running: for a thread that exists already, such as the main thread of a UI.
///
/// Made by [`Builder::attach`](super::Builder::attach). Dropped without being run, it refuses what was queued.
pub struct OwnerLoop<T: 'static> {
    pub(super) duty: Duty<T>,
    pub(super) task: Task,
    pub(super) state: T,
    pub(super) on_panic: OnPanic<T>,
}

/// The duty to run what the mailbox accepts. Dropped, whether the loop has ended, never ran or fell over, it
/// refuses the rest.
pub(super) struct Duty<T: 'static>(pub(super) Arc<Shared<T>>);

impl<T> Drop for Duty<T> {
    fn drop(&mut self) {
        let rest = self.0.mailbox.abandon();
        self.0.refuse(rest);
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
        let Self { duty, task, state, on_panic } = self;
        task.run(|me| serve_all(me, &duty, state, on_panic));
        duty.0.mailbox.end(Ok(()));
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

/// An owner, for whoever is on its thread and does not know its state.
struct Card {
    owner: Arc<str>,
    policy: WaitOnOwner,
}

/// The name and the policy of the owner that this task is, if it is in a job.
pub(crate) fn on_owner_thread(me: &Local) -> Option<(Arc<str>, WaitOnOwner)> {
    let server = me.server.borrow();
    let card: &Card = server.as_ref().filter(|_| me.is_in_job())?.card().downcast_ref()?;
    Some((card.owner.clone(), card.policy))
}

/// Everything that runs on the owner thread, from the first job to the drop of the state.
pub(super) fn serve_all<T: 'static>(me: &Rc<Local>, duty: &Duty<T>, state: T, on_panic: OnPanic<T>) {
    let shared = &duty.0;
    let runner = platform::rc(|| Runner {
        me: me.clone(),
        shared: shared.clone(),
        card: Card { owner: shared.name.clone(), policy: shared.policy },
        state: RefCell::new(Rc::new(state)),
        batch: Batch::default(),
        on_panic,
    });
    me.manner.set(shared.policy.manner());
    me.seen_here();
    *me.server.borrow_mut() = Some(runner.clone());
    let can_look = shared.mailbox.owner_looks;
    let looks = Cell::new(can_look);
    let mut job = Job::none();
    let caller = || shared.mailbox.caller();
    let may_look = || looks.get() && me.patience.may_pay(me.last_here(), caller);
    // The scope of the jobs that are in the middle of no other, one after the other.
    me.inside(Op::unasked(""), || {
        loop {
            match shared.mailbox.next(&runner.batch, may_look, &mut job) {
                Next::Run => {
                    runner.run(&mut job, Inside::NoOther);
                    looks.set(can_look);
                }
                Next::RunHanded(sent) => {
                    runner.run_handed(sent);
                    looks.set(can_look);
                }
                Next::RunPlain(plain) => {
                    runner.run_plain(plain, &mut job.work);
                    looks.set(can_look);
                }
                Next::Refuse(jobs) => shared.refuse(jobs),
                Next::Look => {
                    looks.set(me.patience.pays(caller, || shared.mailbox.may_have_job()));
                }
                Next::Park { is_seen } => {
                    // An execution of an explorer that comes to its end ends this too.
                    let mut parked = me.park();
                    while parked.is_ok() && is_seen && !shared.mailbox.has_news() {
                        parked = me.park();
                    }
                    if parked.is_err() {
                        break;
                    }
                    looks.set(can_look);
                }
                Next::End => break,
            }
        }
    });
    *me.server.borrow_mut() = None;
}

/// Where a job runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// On the bottom of the owner's stack.
    NoOther,
    /// While another waits.
    Another,
}

/// Runs jobs on the state of one owner.
pub(super) struct Runner<T: 'static> {
    me: Rc<Local>,
    shared: Arc<Shared<T>>,
    card: Card,
    /// Replaced after a panic, if the owner was built so; jobs that go on keep the one they have.
    state: RefCell<Rc<T>>,
    batch: Batch<T>,
    on_panic: OnPanic<T>,
}

impl<T> Runner<T> {
    /// Runs a post on nobody's behalf in the middle of no other job: nothing is to be put back.
    #[inline(always)]
    fn run_plain(&self, Plain { op, queued_at }: Plain, work: &mut Work<T>) {
        let _watched = self.shared.watch.as_ref().map(|watch| watch.begins(op));
        let state = self.state.borrow().clone();
        let _running = trace::begins(&self.shared.name, op, None, queued_at);
        self.me.goes_on_to(op);
        let on = On { op, state: &*state, backtrace: self.shared.backtrace };
        if let Err(panicked) = work.run(&on) {
            self.panicked(&panicked);
        }
    }

    /// Runs a job that was taken from the queue. Where it stands: a job is as long as a cache line, and more.
    #[inline]
    fn run(&self, job: &mut Job<T>, inside: Inside) {
        let lineage = job.lineage().cloned();
        let shared = job.about.take_lineage();
        let Job { about, work } = job;
        self.run_about(about, lineage, shared, inside, |on| work.run(on));
    }

    /// Runs what was handed over, past the queue.
    #[inline]
    fn run_handed(&self, Sent { about, mut promise }: Sent<T>) {
        self.run_about(&about, promise.lineage().cloned(), None, Inside::NoOther, |on| promise.keep(on));
    }

    #[inline(always)]
    fn run_about(
        &self,
        about: &About,
        lineage: Option<Lineage>,
        shared: Option<Arc<Lineage>>,
        inside: Inside,
        run: impl FnOnce(&On<'_, T>) -> Outcome<()>,
    ) {
        let op = about.op();
        let _watched = self.shared.watch.as_ref().map(|watch| watch.begins(op));
        let state = self.state.borrow().clone();
        let _running = trace::begins(&self.shared.name, op, lineage.as_ref(), about.queued_at());
        let run = || run(&On { op, state: &*state, backtrace: self.shared.backtrace });
        let ended = match lineage {
            // Nobody's job in the middle of nobody's: nothing is to be put back.
            None if inside == Inside::NoOther => {
                self.me.goes_on_to(op);
                run()
            }
            lineage if inside == Inside::NoOther => {
                self.me.goes_on_to(op);
                self.me.behalf.during(lineage.unwrap_or_default(), shared, run)
            }
            lineage => self.me.within(op, lineage.unwrap_or_default(), shared, run),
        };
        if let Err(panicked) = ended {
            self.panicked(&panicked);
        }
    }

    /// Runs a job inside the one that `me`, which is the owner, is in.
    pub(super) fn run_inline<R>(me: &Local, op: Op, job: impl FnOnce(&T) -> R) -> Outcome<R> {
        let server = me.server.borrow();
        let runner = server.as_deref().and_then(|server| (server as &dyn Any).downcast_ref::<Self>());
        let runner = runner.expect("a task in a job of an owner serves its queue");
        let state = runner.state.borrow().clone();
        let run = || caught(op, runner.shared.backtrace, || job(&state));
        me.inside(op, run).inspect_err(|panicked| runner.panicked(panicked))
    }

    /// A job has panicked: the owner was built to go on, with this state or another, or not.
    #[cold]
    fn panicked(&self, panicked: &Panicked) {
        let state = self.state.borrow().clone();
        let next = caught(panicked.op, Backtrace::Leave, || (self.on_panic)(&state, panicked));
        match next {
            Ok(AfterPanic::Continue) => {}
            Ok(AfterPanic::Replace(state)) => {
                let before = self.state.replace(Rc::new(state));
                drop(before);
            }
            Ok(AfterPanic::Close) | Err(_) => self.shared.mailbox.close(),
        }
    }
}

/// The jobs that the owner runs while it waits.
impl<T> Server for Runner<T> {
    fn card(&self) -> &dyn Any {
        &self.card
    }

    fn object(&self) -> Object {
        self.shared.mailbox.object()
    }

    fn has_job(&self, awaited: &[Activation]) -> bool {
        self.shared.mailbox.has_one_of(&self.batch, awaited)
    }

    fn run_job(&self, awaited: &[Activation]) {
        let mut job = Job::none();
        match self.shared.mailbox.next_of(&self.batch, awaited, &mut job) {
            Some(Next::Run) => self.run(&mut job, Inside::Another),
            Some(Next::Refuse(jobs)) => self.shared.refuse(jobs),
            _ => {}
        }
    }
}
