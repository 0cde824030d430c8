//! Who waits: anything that can block. Today an OS thread.
//!
//! A task has a number and a record. The record is seen by others (its name, the wait it is in, its parker);
//! what only the task itself uses is its [`Local`].

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::cancel::Cancelled;
use super::deadlock::Deadlock;
use super::holds::Holds;
use super::lineage::{Activation, Behalf, Lineage};
use super::op::Op;
use super::patience::Patience;
use super::permit::Permit;
use super::registry;
use super::scheduler::{self, Object};
use crate::platform::{self, AtThreadExit, Parker, Unseen, atomic};

/// The number of a task: not used again for another before its record has served 268 million others.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TaskId(u64);

/// The first generation of a record that there is not.
const GENERATIONS: u32 = 1 << 28;

impl TaskId {
    /// No task has this number.
    #[cfg(feature = "explore")]
    pub(crate) const NOBODY: Self = Self(u64::MAX);

    /// The bits that are in no task's word.
    pub(crate) const SPARE: u64 = !(u64::MAX >> (u32::BITS - GENERATIONS.trailing_zeros()));

    pub(super) fn new(index: u32, generation: u32) -> Self {
        Self((u64::from(generation) << 32) | (u64::from(index) + 1))
    }

    pub(crate) fn index(self) -> u32 {
        (self.0 as u32) - 1
    }

    pub(super) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// As a word for an atomic; never 0.
    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// The task of a word, or `None` for 0.
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        (word != 0).then_some(Self(word))
    }

    /// Wakes the task if it is parked, or the next time it parks.
    #[inline]
    pub(crate) fn unpark(self) {
        if scheduler::unpark(self) {
            return;
        }
        if let Some(record) = registry::record(self) {
            record.parker.unpark();
        }
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}.{}", self.index(), self.generation())
    }
}

/// What a task is called, put together only for whoever reads it.
#[derive(Clone)]
pub(crate) struct Called {
    /// What it is: `owner`, `thread`.
    pub(crate) kind: &'static str,
    /// The how manieth of those that share a name, from 1; 0 if it alone has it.
    pub(crate) number: u64,
    /// Its name, if it has one.
    pub(crate) name: Arc<str>,
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, number, name } = self;
        match (*number, &**name) {
            (0, "") => write!(f, "{kind}"),
            (0, name) => write!(f, "{kind} `{name}`"),
            (number, "") => write!(f, "{kind} {number}"),
            (number, name) => write!(f, "{kind} #{number} of `{name}`"),
        }
    }
}

/// What others see of a task. Those of two tasks share no cache line.
#[repr(align(128))]
pub(super) struct TaskRecord {
    /// Changes when the task ends, so that its number finds nobody.
    pub(super) generation: AtomicU32,
    pub(super) called: Unseen<Option<Called>>,
    /// The wait that this task is in: a pointer to a [`Wait`](super::door::Wait) on its stack, or null.
    pub(super) waiting: atomic::AtomicPtr<()>,
    pub(super) parker: Parker,
    pub(super) permit: Permit,
    /// It is a coroutine of an explorer.
    pub(super) is_coroutine: AtomicBool,
    /// The locks that the task holds: see `holds.rs`.
    pub(super) holds: Holds,
    /// The processor on which the task was seen last: a hint for whoever waits for it.
    pub(super) processor: AtomicU32,
}

impl Default for TaskRecord {
    fn default() -> Self {
        Self {
            generation: AtomicU32::new(0),
            called: Unseen::new(None),
            waiting: atomic::AtomicPtr::new(std::ptr::null_mut()),
            parker: Parker::default(),
            permit: Permit::default(),
            is_coroutine: AtomicBool::new(false),
            holds: Holds::default(),
            processor: AtomicU32::new(u32::MAX),
        }
    }
}

impl TaskRecord {
    /// Its task has ended: from now on that one's number finds nobody.
    pub(super) fn goes_to_another(&self) {
        let next = (self.generation.load(Ordering::Relaxed) + 1) % GENERATIONS;
        self.generation.store(next, Ordering::Relaxed);
    }
}

/// How a task waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// The wait is shown, but no verdict rests on it.
    Unjudged,
    /// A wait that would close a cycle is refused.
    Judged,
    /// The same, and the task runs the jobs of the awaited work meanwhile.
    Serving,
}

/// Serves a task's queue while the task waits.
pub(crate) trait Server: Any {
    /// What those who know whose server this is may know of it.
    fn card(&self) -> &dyn Any;

    /// What others touch when they queue a job.
    fn object(&self) -> Object;

    /// Whether a job of the awaited work is queued. If not, whoever queues the next job unparks this task.
    fn has_job(&self, awaited: &[Activation]) -> bool;

    /// Takes that job and runs it.
    fn run_job(&self, awaited: &[Activation]);
}

/// Something that a task keeps until it ends.
pub(crate) trait Keep {
    /// The task has ended, or does not want it any more.
    fn let_go(&self);

    /// By which it is known.
    fn place(&self) -> *const ();
}

/// What a task keeps until it ends.
#[derive(Default)]
struct Keeps(RefCell<Vec<Box<dyn Keep>>>);

impl Keeps {
    #[inline]
    fn let_go(&self) {
        // Most tasks keep nothing.
        if !self.0.borrow().is_empty() {
            self.0.take().iter().for_each(|kept| kept.let_go());
        }
    }
}

impl Drop for Keeps {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// What only the task itself uses.
pub(crate) struct Local {
    pub(crate) id: TaskId,
    pub(super) record: platform::Record<TaskRecord>,
    /// On whose behalf the task acts now.
    pub(crate) behalf: Behalf,
    /// The innermost job that the task is in the middle of. Those around it are on its stack.
    job: Cell<Option<Op>>,
    /// The activations that the waits on this task's stack wait for.
    pub(super) awaited: RefCell<SmallVec<[Activation; 2]>>,
    /// Has jobs that can be run while the task waits.
    pub(crate) server: RefCell<Option<Rc<dyn Server>>>,
    /// How the task waits, where nothing else is said.
    pub(crate) manner: Cell<Manner>,
    pub(crate) patience: Patience,
    /// The deadlock that the task panicked with last, and where the text of that panic lies.
    pub(super) panicked_with: RefCell<Option<(usize, Deadlock)>>,
    keeps: Keeps,
    _retire: AtThreadExit,
}

impl Local {
    #[inline(always)]
    fn new(id: TaskId) -> Rc<Self> {
        let record = registry::record(id).expect("the number was taken a moment ago");
        platform::rc(|| Self {
            id,
            record,
            behalf: Behalf::default(),
            job: Cell::default(),
            awaited: RefCell::default(),
            server: RefCell::default(),
            manner: Cell::new(Manner::Judged),
            patience: Patience::default(),
            panicked_with: RefCell::default(),
            keeps: Keeps::default(),
            _retire: AtThreadExit(retire, id.word()),
        })
    }

    /// Keeps this until the task ends, or lets it go.
    pub(crate) fn keep(&self, kept: Box<dyn Keep>) {
        self.keeps.0.borrow_mut().push(kept);
    }

    /// Lets go of what is kept by this name, if it is.
    pub(crate) fn let_go_of(&self, place: *const ()) {
        let mut keeps = self.keeps.0.borrow_mut();
        let at = keeps.iter().rposition(|kept| kept.place() == place);
        let kept = at.map(|at| keeps.swap_remove(at));
        drop(keeps);
        drop(kept);
    }

    /// Blocks until somebody unparks this task; a leftover unpark counts.
    ///
    /// # Errors
    ///
    /// Inside an exploration, if the execution comes to its end.
    #[inline(always)]
    pub(crate) fn park(&self) -> Result<(), Cancelled> {
        scheduler::park().unwrap_or_else(|| {
            self.record.parker.park();
            self.seen_here();
            Ok(())
        })
    }

    /// Notes on which processor the task runs.
    pub(crate) fn seen_here(&self) {
        if let Some(here) = scheduler::processor()
            && self.record.processor.load(Ordering::Relaxed) != here
        {
            self.record.processor.store(here, Ordering::Relaxed);
        }
    }

    /// On which processor it was then; `u32::MAX` if that is not known.
    #[inline]
    pub(crate) fn last_here(&self) -> u32 {
        self.record.processor.load(Ordering::Relaxed)
    }

    /// As [`park`](Self::park), until this moment at most (never, if there is none); inside an exploration for
    /// `timeout` of its own time. Says whether the time is up.
    ///
    /// # Errors
    ///
    /// As `park`.
    pub(super) fn park_until(&self, deadline: Option<Instant>, timeout: Duration) -> Result<bool, Cancelled> {
        match scheduler::park_timeout(timeout) {
            Some(_) if scheduler::is_ending() => Err(Cancelled::ended()),
            Some(is_up) => Ok(is_up),
            None => Ok(match deadline {
                Some(deadline) => self.record.parker.park_until(deadline),
                None => {
                    self.record.parker.park();
                    false
                }
            }),
        }
    }

    /// Runs `body` on behalf of `lineage`, inside the job `op`.
    pub(crate) fn within<R>(
        &self,
        op: Op,
        lineage: Lineage,
        shared: Option<Arc<Lineage>>,
        body: impl FnOnce() -> R,
    ) -> R {
        self.behalf.during(lineage, shared, || self.inside(op, body))
    }

    /// From now on the innermost job is this.
    #[inline]
    pub(crate) fn goes_on_to(&self, op: Op) {
        self.job.set(Some(op));
    }

    /// The innermost job.
    pub(super) fn is_in(&self) -> Option<Op> {
        self.job.get()
    }

    /// Whether the task is in any job.
    #[inline]
    pub(crate) fn is_in_job(&self) -> bool {
        self.job.get().is_some()
    }

    /// Runs `body` inside the job `op`, on whose behalf the task acts anyway.
    #[inline(always)]
    pub(crate) fn inside<R>(&self, op: Op, body: impl FnOnce() -> R) -> R {
        /// Puts things back, on unwinding too.
        struct Restore<'a>(&'a Local, Option<Op>);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                self.0.job.set(self.1);
            }
        }
        let _restore = Restore(self, self.job.replace(Some(op)));
        body()
    }
}

/// On which processor a task was seen last, as far as it is known.
pub(crate) fn processor_of(id: TaskId) -> u32 {
    registry::record(id).map_or(u32::MAX, |record| record.processor.load(Ordering::Relaxed))
}

/// Whether the calling task unwinds.
pub(super) fn is_unwinding() -> bool {
    scheduler::is_unwinding().unwrap_or_else(std::thread::panicking)
}

fn retire(word: u64) {
    if CURRENT_ID.try_with(Cell::get).is_ok_and(|id| id == word) {
        // What the thread does after that is no task's, and nobody's record is to know of it.
        is_now(None);
    }
    if let Some(id) = TaskId::from_word(word) {
        registry::retire(id);
    }
}

/// A task that is known before its thread runs: work can be waited for before it is started.
pub(crate) struct Task(Option<TaskId>);

impl Task {
    /// A task that is called so.
    pub(crate) fn new(kind: &'static str, number: u64, name: Arc<str>) -> Self {
        Self(Some(registry::enlist(Called { kind, number, name })))
    }

    pub(crate) fn id(&self) -> TaskId {
        self.0.expect("a task that is not being run has its number")
    }

    /// Starts a thread of this name, or a coroutine of an explorer, that is this task and runs `body`.
    ///
    /// # Errors
    ///
    /// The operating system has no thread to give; `body` was dropped.
    pub(crate) fn start(
        self,
        thread: impl FnOnce() -> Option<String>,
        stack_size: Option<usize>,
        body: impl FnOnce(&Rc<Local>) + Send + 'static,
    ) -> std::io::Result<Thread> {
        match scheduler::spawn(self.id(), move || self.run(|me| body(me))) {
            Ok(()) => Ok(Thread(None)),
            Err(run) => platform::spawn(thread(), stack_size, run).map(|thread| Thread(Some(thread))),
        }
    }

    /// Starts this task on a thread that nobody joins, or as a coroutine of an explorer.
    ///
    /// # Errors
    ///
    /// There is no thread; `body` was dropped.
    pub(crate) fn start_somewhere(
        self,
        place: WhereItRuns<'_>,
        body: impl FnOnce(&Rc<Local>) + Send + 'static,
    ) -> std::io::Result<()> {
        match scheduler::spawn(self.id(), move || self.run(|me| body(me))) {
            Ok(()) => Ok(()),
            Err(run) => match place {
                WhereItRuns::ThreadOfOurs => platform::spawn_again(Box::new(run)),
                WhereItRuns::Given(spawner) => spawner(Box::new(run)),
            },
        }
    }

    /// Makes the calling thread this task for as long as `body` runs.
    #[inline(always)]
    pub(crate) fn run<R>(mut self, body: impl FnOnce(&Rc<Local>) -> R) -> R {
        let local = Local::new(self.0.take().expect("a task runs once"));
        let coroutine = scheduler::become_task(local.id);
        let outer = CURRENT.with(|current| current.replace(Some(local.clone())));
        is_now(Some(&local));
        /// Puts the thread's own task back, on unwinding too.
        struct Restore(Option<Rc<Local>>, Option<TaskId>);
        impl Drop for Restore {
            #[inline(always)]
            fn drop(&mut self) {
                is_now(self.0.as_ref());
                let ended = CURRENT.with(|current| current.replace(self.0.take()));
                drop(ended);
                self.1.and_then(scheduler::become_task);
            }
        }
        /// Lets go of what the task keeps, on unwinding too.
        struct Ends<'a>(&'a Local);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.keeps.let_go();
            }
        }
        let _restore = Restore(outer, coroutine);
        // While it is still this task: others are told by that.
        let _ends = Ends(&local);
        body(&local)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(id) = self.0.take() {
            registry::retire(id);
        }
    }
}

/// On which thread a task runs that nobody joins.
pub(crate) enum WhereItRuns<'a> {
    /// One of ours, which may have run another before.
    ThreadOfOurs,
    /// One that this finds.
    Given(&'a (dyn Fn(Box<dyn FnOnce() + Send>) -> std::io::Result<()> + Send + Sync)),
}

/// A thread that was started for a task. Dropped, it is left to itself.
pub(crate) struct Thread(Option<platform::JoinHandle>);

impl Thread {
    /// Waits for the thread to be gone. Its task has nothing left to do that could wait for the caller.
    pub(crate) fn join(self) {
        if let Some(thread) = self.0 {
            // How the task ended is told elsewhere.
            let _ = thread.join();
        }
    }
}

/// What the current task of a thread is, while the thread is another: a coroutine takes its own with it.
#[cfg(feature = "explore")]
#[derive(Default)]
pub(crate) struct Held(Option<Rc<Local>>);

#[cfg(feature = "explore")]
impl Held {
    /// Exchanges the thread's current task for the one that is held.
    #[inline]
    pub(crate) fn exchange(self) -> Self {
        is_now(self.0.as_ref());
        Self(CURRENT.with(|current| current.replace(self.0)))
    }
}

platform::thread_local! {
    static CURRENT: RefCell<Option<Rc<Local>>> = RefCell::new(None);
}

platform::thread_words! {
    /// The number of that task, as a word, for those who need no more; 0 if it is not known.
    static CURRENT_ID: Cell<u64> = Cell::new(0);
    /// Its record.
    static CURRENT_RECORD: platform::RecordCell<TaskRecord> = platform::RecordCell::new();
}

/// The thread's task is this one from now on.
fn is_now(task: Option<&Rc<Local>>) {
    let _ = CURRENT_ID.try_with(|id| id.set(task.map_or(0, |task| task.id.word())));
    let _ = CURRENT_RECORD.try_with(|record| record.set(task.map(|task| &task.record)));
}

/// The record of the calling task; none in the last moments of a thread.
#[inline(always)]
pub(super) fn my_record() -> Option<platform::Record<TaskRecord>> {
    CURRENT_RECORD.try_with(platform::RecordCell::get).ok().flatten().or_else(first_record)
}

#[cold]
#[inline(never)]
fn first_record() -> Option<platform::Record<TaskRecord>> {
    // In the last moments of a thread the task that `current` gives is gone before its record could be used.
    CURRENT.try_with(|_| ()).ok()?;
    registry::record(current().id)
}

/// The number of the calling task.
#[inline(always)]
pub(crate) fn current_id() -> TaskId {
    let known = CURRENT_ID.try_with(Cell::get).ok().and_then(TaskId::from_word);
    known.unwrap_or_else(first_id)
}

#[cold]
#[inline(never)]
fn first_id() -> TaskId {
    current().id
}

/// The calling task. A thread that is seen for the first time becomes one, under its own name.
#[inline(always)]
pub(crate) fn current() -> Rc<Local> {
    let known = CURRENT.try_with(|current| current.borrow().clone());
    known.ok().flatten().unwrap_or_else(first_local)
}

#[cold]
#[inline(never)]
fn first_local() -> Rc<Local> {
    let local = Local::new(registry::enlist(this_thread()));
    // In the last moments of a thread there is nowhere to keep it: it is a task for this one wait.
    if CURRENT.try_with(|current| *current.borrow_mut() = Some(local.clone())).is_ok() {
        is_now(Some(&local));
    }
    local
}

/// The number of the calling task, and on whose behalf it acts, as that is handed on.
#[inline(always)]
pub(crate) fn current_sender() -> (TaskId, Option<Arc<Lineage>>) {
    let sender = |me: &Rc<Local>| (me.id, me.behalf.shared());
    let known = CURRENT.try_with(|current| current.borrow().as_ref().map(sender));
    known.ok().flatten().unwrap_or_else(first_sender)
}

#[cold]
#[inline(never)]
fn first_sender() -> (TaskId, Option<Arc<Lineage>>) {
    let me = current();
    (me.id, me.behalf.shared())
}

/// The operation that the calling code is part of: that of the innermost job on its task's stack. None outside of
/// jobs, and on a thread that only acts on behalf of one.
///
/// ```
/// let owner = impasse::Owner::builder("vm").spawn(|| ())?;
/// let label = owner.handle().call("count", |()| impasse::current_op().unwrap().label)?;
/// assert_eq!(label, "count");
/// assert_eq!(impasse::current_op(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn current_op() -> Option<Op> {
    current().is_in()
}

fn this_thread() -> Called {
    static UNNAMED: AtomicUsize = AtomicUsize::new(1);
    let (number, name) = match std::thread::current().name() {
        Some(name) => (0, name.into()),
        None => (UNNAMED.fetch_add(1, Ordering::Relaxed) as u64, "".into()),
    };
    Called { kind: "thread", number, name }
}
