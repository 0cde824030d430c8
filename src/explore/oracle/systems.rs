//! Random programs over owners, sessions, threads and atomics.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::programs::{Dice, Observed};
use crate::sync::atomic::AtomicU64;
use crate::sync::{Condvar, Mutex};
use crate::{CallError, Handle, Owner, Run, RunError, Session, WaitOnOwner, thread};

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
}

/// A program: the policies of its owners, and what each task does.
#[derive(Clone, Debug)]
pub(super) struct System {
    policies: [WaitOnOwner; 2],
    tasks: Vec<Vec<Do>>,
}

/// What the tasks of a system share.
struct Parts {
    owners: Vec<Handle<State>>,
    atomics: Vec<AtomicU64>,
    lock: Mutex<u32>,
    conditions: [(Mutex<u32>, Condvar); 2],
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
        let tasks = 2 + dice.roll(2);
        let flavour = dice.roll(5);
        let does = |dice: &mut Dice| {
            let o = dice.roll(2) as usize;
            match flavour {
                0 => [Add(o), Load(o), Store(o), Child(o), Add(o)][dice.roll(5) as usize],
                4 => {
                    let one = if dice.roll(3) == 0 { Await(o) } else { Await(0) };
                    [one, AwaitTimed(0), Notify(0), NotifyAll(0), AwaitTimed(o), Notify(o), Add(0), Yield]
                        [dice.roll(8) as usize]
                }
                1 => [Post(o), Call(o), Close(o), IsClosed(o), CallPost(o), Post(o)][dice.roll(6) as usize],
                2 => [Eval(o), Start(o), Run(o), Post(o), Call(o)][dice.roll(5) as usize],
                _ => [CallLocked(o), LockInJob(o), Eval(o), CallPost(o), Add(o)][dice.roll(5) as usize],
            }
        };
        let task = |dice: &mut Dice| (0..1 + dice.roll(2)).map(|_| does(dice)).collect();
        Self { policies, tasks: (0..tasks).map(|_| task(&mut dice)).collect() }
    }

    /// The system as a closure for the explorer.
    pub(super) fn body(&self) -> Arc<dyn Fn() + Send + Sync> {
        let system = self.clone();
        Arc::new(move || system.run())
    }

    fn run(&self) {
        Observed::begin();
        let owner = |owner: usize| {
            let builder = Owner::builder(["x", "y"][owner]).wait_on_owner(self.policies[owner]);
            builder.spawn(move || State { owner, depth: Cell::new(0) }).unwrap()
        };
        let owners = [0, 1].map(owner);
        let parts = Arc::new(Parts {
            owners: owners.iter().map(Owner::handle).collect(),
            atomics: (0..2).map(|_| AtomicU64::new(0)).collect(),
            lock: Mutex::new(0),
            conditions: [0, 1].map(|_| (Mutex::new(0), Condvar::new())),
        });
        let start = |(task, does): (usize, &Vec<Do>)| {
            let (parts, does) = (parts.clone(), does.clone());
            let body = move || {
                for what in does {
                    let result = parts.act(task, what);
                    Observed::note(task, format!("{what:?}: {result}"));
                }
            };
            thread::spawn(&task.to_string(), body).unwrap()
        };
        let threads: Vec<_> = self.tasks.iter().enumerate().map(start).collect();
        for thread in threads {
            let _ = thread.join();
        }
        drop(owners);
    }
}

impl Parts {
    fn act(self: &Arc<Self>, task: usize, what: Do) -> String {
        let name = format!("{task}");
        match what {
            Do::Post(o) => {
                format!("{:?}", self.owners[o].post("post", move |state| state.note(&name)).is_ok())
            }
            Do::Call(o) => kind(&self.owners[o].call("call", move |state| state.note(&name))),
            Do::CallPost(o) => {
                let other = self.owners[1 - o].clone();
                let job = move |state: &State| {
                    state.note(&name);
                    let _ = other.post("from a job", move |state| state.note(&name));
                };
                kind(&self.owners[o].call("call", job))
            }
            Do::Eval(o) => {
                let session = self.session(o, name.clone());
                let job = move |state: &State| {
                    state.note(&name);
                    state.depth.set(state.depth.get() + 1);
                    let result = session.run(());
                    state.depth.set(state.depth.get() - 1);
                    ended(&result)
                };
                match self.owners[o].call("eval", job) {
                    Ok(result) => result,
                    error => kind(&error),
                }
            }
            Do::Start(o) => {
                let session = self.session(o, name.clone());
                let job = move |state: &State| {
                    state.note(&name);
                    let run = session.start(()).unwrap();
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
            Do::CallLocked(o) => match self.lock.lock() {
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
                    parts.lock.lock().map_or(0, |mut held| {
                        *held += 1;
                        *held
                    })
                };
                format!("{:?}", self.owners[o].call("lock", job).ok())
            }
            Do::Await(c) | Do::AwaitTimed(c) => {
                let (lock, condition) = &self.conditions[c];
                let Ok(mut seen) = lock.lock() else { return "over".into() };
                *seen += 1;
                let waited = match what {
                    Do::Await(_) => condition.wait(seen).map(|seen| (seen, false)),
                    _ => condition.wait_timeout(seen, Duration::from_secs(task as u64)),
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
                let child = thread::spawn("child", move || parts.atomics[a].fetch_add(1)).unwrap();
                let finished = child.is_finished();
                format!("{finished} {:?}", child.join().ok())
            }
        }
    }

    /// A session whose runs call back once.
    fn session(&self, o: usize, name: String) -> Session<State, (), ()> {
        let engine = move |run: &Run<State>, ()| {
            let name = name.clone();
            run.call("callback", move |state| state.note(&format!("{name} called back")))
        };
        Session::builder("s", &self.owners[o]).engine::<_, _, CallError>(engine)
    }
}

fn kind<V>(result: &Result<V, CallError>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(CallError::Deadlock(_)) => "a cycle".into(),
        Err(CallError::Closed(_)) => "closed".into(),
        Err(_) => "another".into(),
    }
}

fn ended(result: &Result<(), RunError>) -> String {
    match result {
        Ok(()) => "ran".into(),
        Err(RunError::Deadlock(_)) => "a cycle".into(),
        Err(RunError::WaitOnOwner { .. }) => "refused".into(),
        Err(_) => "failed".into(),
    }
}
