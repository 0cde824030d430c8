//! Random programs over owners, sessions, threads and atomics.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::programs::{Dice, Observed};
use crate::sync::atomic::AtomicU64;
use crate::sync::{Condvar, Mutex, Queue};
use crate::{
    CallError, Canceller, Handle, Owner, PostError, Run, RunError, RunHandle, Session, WaitError,
    WaitOnOwner, thread,
};

/// What a task does next. The number is that of the owner, of the atomic or of the lock.
#[derive(Clone, Copy, Debug)]
enum Do {
    Post(usize),
    Call(usize),
    /// A call whose job posts to the other owner.
    CallPost(usize),
    /// A call whose job runs a session that calls back.
    Eval(usize),
    /// A call whose job starts a session that calls back and settles.
    Start(usize),
    /// A session that is run from here.
    Run(usize),
    Close(usize),
    IsClosed(usize),
    Add(usize),
    Load(usize),
    Store(usize),
    /// A call with a lock held, whose job may want it too.
    CallLocked(usize),
    LockInJob(usize),
    Await(usize),
    AwaitTimed(usize),
    Notify(usize),
    NotifyAll(usize),
    Yield,
    /// A thread that adds, looked at before it is joined.
    Child(usize),
    /// A post that waits for room.
    PostWait(usize),
    /// A call whose job does the same at the other owner.
    CallPostWait(usize),
    Len(usize),
    Idle(usize),
    /// A call whose job waits until the other owner is idle.
    CallIdle(usize),
    CallTimed(usize),
    /// A call whose answer is dropped.
    AsyncDropped(usize),
    /// One that is asked for once, and then dropped.
    AsyncPolled(usize),
    /// One that is waited for.
    AsyncTaken(usize),
    CloseNow(usize),
    /// Cancels the run that was started before all this.
    Cancel(usize),
    /// Whether it goes on.
    IsRunning(usize),
    RunTimed(usize),
    /// A run that starts another and waits for it.
    RunNested(usize),
    /// A call whose job runs a session, at most for a while.
    EvalTimed(usize),
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    CallsBack,
    /// Waits for the lock.
    Locks,
    /// Runs another that calls back.
    Nests,
    /// Asks whether it was cancelled.
    Looks,
}

/// A program: the policies of its owners, and what each task does.
#[derive(Clone, Debug)]
pub(super) struct System {
    policies: [WaitOnOwner; 2],
    /// Of the first owner.
    capacity: Option<usize>,
    /// A run of each owner that goes on when the tasks begin.
    started: [Option<Engine>; 2],
    tasks: Vec<Vec<Do>>,
}

/// What the tasks of a system share.
struct Parts {
    owners: Vec<Handle<State>>,
    atomics: Vec<AtomicU64>,
    lock: Arc<Mutex<u32>>,
    conditions: [(Mutex<u32>, Condvar); 2],
    cancellers: [Option<Canceller>; 2],
}

/// An owner's state: which owner it is, and how deep in evaluations.
struct State {
    owner: usize,
    depth: Cell<u32>,
}

impl State {
    fn note(&self, what: &str) {
        Observed::note(100 + self.owner, format!("{what} at depth {}", self.depth.get()));
    }
}

impl System {
    pub(super) fn random(seed: u64) -> Self {
        use Do::*;
        let mut dice = Dice::new(seed);
        let mut policy =
            || [WaitOnOwner::Detect, WaitOnOwner::Serve, WaitOnOwner::Reject][dice.roll(3) as usize];
        let policies = [policy(), policy()];
        let flavour = dice.roll(11);
        // With more steps to an operation there are fewer of those.
        let (fewest, more) = match flavour {
            ..5 => (2, 2),
            5..10 => (2, 4),
            _ => (1, 4),
        };
        let tasks = fewest + dice.roll(more) / (more - 1);
        let does = |dice: &mut Dice| {
            let o = dice.roll(2) as usize;
            let one = if dice.roll(3) == 0 { o } else { 0 };
            let mut of = |choices: &[Do]| choices[dice.roll(choices.len() as u64) as usize];
            match flavour {
                0 => of(&[Add(o), Load(o), Store(o), Child(o), Add(o)]),
                1 => of(&[Post(o), Call(o), Close(o), IsClosed(o), CallPost(o), Post(o)]),
                2 => of(&[Eval(o), Start(o), Run(o), Post(o), Call(o)]),
                3 => of(&[CallLocked(o), LockInJob(o), Eval(o), CallPost(o), Add(o)]),
                4 => of(&[
                    Await(one),
                    AwaitTimed(0),
                    Notify(0),
                    NotifyAll(0),
                    AwaitTimed(o),
                    Notify(o),
                    Add(0),
                    Yield,
                ]),
                5 => {
                    of(&[Post(one), Post(0), PostWait(0), PostWait(one), Call(one), Len(0), CallPostWait(1)])
                }
                6 => {
                    of(&[Post(one), Call(one), Idle(0), Len(one), CallIdle(o), CallPost(o), Add(0), Start(0)])
                }
                7 => of(&[
                    CallTimed(0),
                    CallTimed(one),
                    Post(0),
                    Call(one),
                    LockInJob(one),
                    CallLocked(0),
                    Eval(0),
                ]),
                8 => of(&[
                    AsyncDropped(0),
                    AsyncPolled(0),
                    AsyncTaken(one),
                    Call(one),
                    Post(0),
                    Len(0),
                    Close(0),
                    CallPost(1),
                ]),
                9 => of(&[
                    CloseNow(0),
                    CloseNow(one),
                    Post(0),
                    Call(one),
                    Start(0),
                    PostWait(0),
                    AsyncDropped(0),
                    Idle(0),
                    CallPost(o),
                ]),
                _ => of(&[
                    Cancel(0),
                    Cancel(0),
                    IsRunning(0),
                    RunTimed(0),
                    RunNested(0),
                    Call(0),
                    CallLocked(0),
                    Close(0),
                    CloseNow(0),
                    EvalTimed(0),
                    Eval(0),
                ]),
            }
        };
        let task = |dice: &mut Dice| (0..1 + dice.roll(more) / (more - 1)).map(|_| does(dice)).collect();
        let tasks = (0..tasks).map(|_| task(&mut dice)).collect();
        let capacity = match flavour {
            5 => Some(1 + dice.roll(2) as usize),
            6 | 9 => [None, Some(1), None][dice.roll(3) as usize],
            _ => None,
        };
        let mut engine =
            || [Engine::CallsBack, Engine::Locks, Engine::Nests, Engine::Looks][dice.roll(4) as usize];
        let started = if flavour == 10 { [Some(engine()), None] } else { [None, None] };
        Self { policies, capacity, started, tasks }
    }

    /// One waits for the first condition, one does so for a while, and one notifies both.
    pub(super) fn told_when_time_is_up() -> Self {
        Self {
            policies: [WaitOnOwner::Detect; 2],
            capacity: None,
            started: [None, None],
            tasks: vec![vec![Do::Await(0)], vec![Do::AwaitTimed(0)], vec![Do::NotifyAll(0)]],
        }
    }

    /// The system as a closure for the explorer.
    pub(super) fn body(&self) -> Arc<dyn Fn() + Send + Sync> {
        let system = self.clone();
        Arc::new(move || system.run())
    }

    fn run(&self) {
        Observed::begin();
        let owner = |owner: usize| {
            let hook =
                move |op: crate::Op, _| Observed::note(200 + owner, format!("`{}` does not run", op.label));
            let builder = Owner::builder(["x", "y"][owner]).wait_on_owner(self.policies[owner]);
            let builder = match self.capacity.filter(|_| owner == 0) {
                Some(capacity) => builder.capacity(capacity),
                None => builder,
            };
            builder.on_unrun(hook).spawn(move || State { owner, depth: Cell::new(0) }).unwrap()
        };
        let owners = [0, 1].map(owner);
        let lock = Arc::new(Mutex::new(0));
        let begin = |o: usize| {
            let session = session(&owners[o].handle(), &lock, "first".into(), self.started[o]?);
            session.start(()).ok()
        };
        let mut runs = [0, 1].map(begin);
        let parts = Arc::new(Parts {
            owners: owners.iter().map(Owner::handle).collect(),
            atomics: (0..2).map(|_| AtomicU64::new(0)).collect(),
            lock,
            conditions: [0, 1].map(|_| (Mutex::new(0), Condvar::new())),
            cancellers: [0, 1].map(|o| runs[o].as_ref().map(RunHandle::canceller)),
        });
        let start = |(task, does): (usize, &Vec<Do>)| {
            let (parts, does) = (parts.clone(), does.clone());
            let body = move || {
                for (at, what) in does.into_iter().enumerate() {
                    let result = parts.act(task, at, what);
                    Observed::note(task, format!("{what:?}: {result}"));
                }
            };
            thread::spawn_named(&task.to_string(), body).unwrap()
        };
        let threads: Vec<_> = self.tasks.iter().enumerate().map(start).collect();
        for thread in threads {
            let _ = thread.checked_join();
        }
        for (o, run) in runs.iter_mut().enumerate() {
            run.take().into_iter().for_each(|run| Observed::note(300 + o, ended(&run.wait())));
        }
        drop(owners);
    }
}

impl Parts {
    fn act(self: &Arc<Self>, task: usize, at: usize, what: Do) -> String {
        let name = format!("{task}{at}");
        match what {
            Do::Post(o) => posted(&self.owners[o].post("post", move |state| state.note(&name))),
            Do::PostWait(o) => posted(&self.owners[o].post_wait("post", move |state| state.note(&name))),
            Do::CallPostWait(o) => {
                let other = self.owners[1 - o].clone();
                let job = move |state: &State| {
                    state.note(&name);
                    posted(&other.post_wait("from a job", move |state| state.note(&name)))
                };
                flat(self.owners[o].call("call", job))
            }
            Do::Len(o) => self.owners[o].len().to_string(),
            Do::Idle(o) => idle(&self.owners[o].wait_idle()).into(),
            Do::CallIdle(o) => {
                let other = self.owners[1 - o].clone();
                flat(self.owners[o].call("call", move |_| idle(&other.wait_idle()).to_string()))
            }
            Do::CallTimed(o) => {
                let timeout = Duration::from_secs(1 + task as u64);
                kind(&self.owners[o].call_timeout("timed", timeout, move |state| state.note(&name)))
            }
            Do::AsyncDropped(o) => {
                drop(self.owners[o].call_async("async", move |state| state.note(&name)));
                String::new()
            }
            Do::AsyncPolled(o) => {
                let mut answer = self.owners[o].call_async("async", move |state| state.note(&name));
                match Pin::new(&mut answer).poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(result) => kind(&result),
                    Poll::Pending => "pending".into(),
                }
            }
            Do::AsyncTaken(o) => {
                let mut answer = self.owners[o].call_async("async", move |state| state.note(&name));
                let woken = Arc::new(Woken(Queue::new()));
                let waker = Waker::from(woken.clone());
                loop {
                    if let Poll::Ready(result) = Pin::new(&mut answer).poll(&mut Context::from_waker(&waker))
                    {
                        return kind(&result);
                    }
                    if woken.0.pop().is_err() {
                        return "over".into();
                    }
                }
            }
            Do::CloseNow(o) => {
                self.owners[o].close_now();
                String::new()
            }
            Do::Cancel(o) => format!("{:?}", self.cancellers[o].as_ref().map(Canceller::cancel)),
            Do::IsRunning(o) => {
                let Ok(run) = self.session(o, name).start(()) else { return "not started".into() };
                format!("{}", run.is_running())
            }
            Do::RunTimed(o) => ended(&self.session(o, name).run_timeout(Duration::from_secs(1), ())),
            Do::RunNested(o) => ended(&session(&self.owners[o], &self.lock, name, Engine::Nests).run(())),
            Do::Call(o) => kind(&self.owners[o].call("call", move |state| state.note(&name))),
            Do::CallPost(o) => {
                let other = self.owners[1 - o].clone();
                let job = move |state: &State| {
                    state.note(&name);
                    let _ = other.post("from a job", move |state| state.note(&name));
                };
                kind(&self.owners[o].call("call", job))
            }
            Do::Eval(o) | Do::EvalTimed(o) => {
                let session = self.session(o, name.clone());
                let job = move |state: &State| {
                    state.note(&name);
                    state.depth.set(state.depth.get() + 1);
                    let result = match what {
                        Do::Eval(_) => session.run(()),
                        _ => session.run_timeout(Duration::from_secs(1), ()),
                    };
                    state.depth.set(state.depth.get() - 1);
                    ended(&result)
                };
                flat(self.owners[o].call("eval", job))
            }
            Do::Start(o) => {
                let session = self.session(o, name.clone());
                let job = move |state: &State| {
                    state.note(&name);
                    let Ok(run) = session.start(()) else { return false };
                    let settle = move |state: &State, result| {
                        state.note(&format!("{name} settled: {}", ended(&result)))
                    };
                    run.on_settled("settle", settle).is_ok()
                };
                format!("{:?}", self.owners[o].call("start", job).map_err(|error| error.to_string().len()))
            }
            Do::Run(o) => ended(&self.session(o, name).run(())),
            Do::Close(o) => {
                self.owners[o].close();
                String::new()
            }
            Do::IsClosed(o) => self.owners[o].is_closed().to_string(),
            Do::Add(a) => self.atomics[a].fetch_add(1).to_string(),
            Do::Load(a) => self.atomics[a].load().to_string(),
            Do::Store(a) => {
                self.atomics[a].store(10 * (task as u64 + 1));
                String::new()
            }
            Do::CallLocked(o) => match self.lock.checked_lock() {
                Err(_) => "a cycle".into(),
                Ok(mut held) => {
                    *held += 1;
                    let result = self.owners[o].call("call", move |state| state.note(&name));
                    format!("{} {}", *held, kind(&result))
                }
            },
            Do::LockInJob(o) => {
                let parts = self.clone();
                let job = move |state: &State| {
                    state.note(&name);
                    parts.lock.checked_lock().map_or(0, |mut held| {
                        *held += 1;
                        *held
                    })
                };
                format!("{:?}", self.owners[o].call("lock", job).ok())
            }
            Do::Await(c) | Do::AwaitTimed(c) => {
                let (lock, condition) = &self.conditions[c];
                let Ok(mut seen) = lock.checked_lock() else { return "over".into() };
                *seen += 1;
                let waited = match what {
                    Do::Await(_) => condition.checked_wait(seen).map(|seen| (seen, false)),
                    _ => condition
                        .checked_wait_for(seen, Duration::from_secs(task as u64))
                        .map(|(seen, late)| (seen, late.timed_out())),
                };
                waited.map_or("over".into(), |(seen, late)| format!("{} {late}", *seen))
            }
            Do::Notify(c) => {
                self.conditions[c].1.notify_one();
                String::new()
            }
            Do::NotifyAll(c) => {
                self.conditions[c].1.notify_all();
                String::new()
            }
            Do::Yield => {
                thread::yield_now();
                String::new()
            }
            Do::Child(a) => {
                let parts = self.clone();
                let child = thread::spawn_named("child", move || parts.atomics[a].fetch_add(1)).unwrap();
                let finished = child.is_finished();
                format!("{finished} {:?}", child.checked_join().ok())
            }
        }
    }

    /// A session whose runs call back once.
    fn session(&self, o: usize, name: String) -> Session<State, (), ()> {
        session(&self.owners[o], &self.lock, name, Engine::CallsBack)
    }
}

fn session(
    owner: &Handle<State>,
    lock: &Arc<Mutex<u32>>,
    name: String,
    does: Engine,
) -> Session<State, (), ()> {
    let lock = lock.clone();
    // Two runs can go on at a time: each has its notes.
    let notes = 400 + name.parse().unwrap_or(100);
    let engine = move |run: &Run<State>, ()| match does {
        Engine::CallsBack => {
            let name = name.clone();
            run.call("callback", move |state| state.note(&format!("{name} called back")))
                .map_err(crate::owner::BoxError::from)
        }
        Engine::Locks => {
            *lock.checked_lock()? += 1;
            Ok(())
        }
        Engine::Nests => {
            let inner = session(run.owner(), &lock, format!("{name} nested"), Engine::CallsBack);
            let result = inner.run(());
            Observed::note(notes, format!("{name} nested: {}", ended(&result)));
            result.map_err(crate::owner::BoxError::from)
        }
        Engine::Looks => {
            Observed::note(notes, format!("{name} is cancelled: {}", run.is_cancelled()));
            Ok(())
        }
    };
    Session::builder("s", owner).engine::<_, _, crate::owner::BoxError>(engine)
}

/// An owner that serves waits for a lock, or for an item of a queue, while the run that it awaits has another job for
/// it. Whether what it waits for or that job comes first decides where the job runs.
pub(super) fn serving(at_a_lock: bool) {
    Observed::begin();
    let note = |what: &str| Observed::note(0, what.into());
    let (x, main_loop) = Owner::builder("x").wait_on_owner(WaitOnOwner::Serve).attach(());
    let (lock, items) = (Arc::new(Mutex::new(())), Arc::new(Queue::new()));
    let (held, filled) = (lock.clone(), items.clone());
    let ends_the_wait = move || if at_a_lock { drop(held.lock()) } else { filled.push(()) };
    drop(thread::spawn(ends_the_wait));
    let engine = move |run: &Run<()>, ()| {
        let (lock, items) = (lock.clone(), items.clone());
        run.post("waits", move |&()| {
            let held = if at_a_lock { Some(lock.lock()) } else { items.pop().ok().and(None) };
            note("has it");
            drop(held);
        })?;
        run.post("comes", move |&()| note("comes"))
    };
    let session = Session::builder("s", &x).engine::<_, _, PostError>(engine);
    let last = x.clone();
    let _ = x.post("runs", move |&()| {
        let _ = session.run(());
        last.close();
    });
    main_loop.run();
}

/// Wakes by an item of a queue.
struct Woken(Queue<()>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.push(());
    }
}

fn posted(result: &Result<(), PostError>) -> String {
    match result {
        Ok(()) => "ok".into(),
        Err(PostError::Deadlock(_)) => "a cycle".into(),
        Err(PostError::Closed(_)) => "closed".into(),
        Err(PostError::Full { .. }) => "full".into(),
        Err(_) => "another".into(),
    }
}

const fn idle(result: &Result<(), WaitError>) -> &'static str {
    match result {
        Ok(()) => "idle",
        Err(WaitError::Deadlock(_)) => "a cycle",
        Err(_) => "another",
    }
}

/// What the job says, or why it did not run.
fn flat(result: Result<String, CallError>) -> String {
    result.unwrap_or_else(|error| kind::<()>(&Err(error)))
}

fn kind<V>(result: &Result<V, CallError>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(CallError::Deadlock(_)) => "a cycle".into(),
        Err(CallError::Closed(_)) => "closed".into(),
        Err(CallError::TimedOut { .. }) => "late".into(),
        Err(CallError::Cancelled(_)) => "cancelled".into(),
        Err(_) => "another".into(),
    }
}

fn ended(result: &Result<(), RunError>) -> String {
    match result {
        Ok(()) => "ran".into(),
        Err(RunError::Deadlock(_)) => "a cycle".into(),
        Err(RunError::WaitOnOwner { .. }) => "refused".into(),
        Err(RunError::Cancelled(_)) => "cancelled".into(),
        Err(RunError::Closed(_)) => "closed".into(),
        Err(RunError::TimedOut { .. }) => "late".into(),
        Err(_) => "failed".into(),
    }
}
