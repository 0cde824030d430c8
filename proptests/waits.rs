//! Random programs of all kinds of waits on real threads: everything ends, what is reported is a deadlock, and where the
//! explorer knows that there can be none nothing is reported.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use impasse::explore::{Explorer, Verdict};
use impasse::sync::channel::{Receiver, RecvError, SendError, Sender, bounded};
use impasse::sync::{self, End as _, Mutex, Party, Promise, PromiseError, Resolver, RwLock, promise};
use impasse::{Deadlock, Handle, Owner, PostError, Shutdown, WaitOnOwner, thread};
use proptest::prelude::*;
use proptest::test_runner::Config;

/// How many locks of each kind there are.
const MANY: usize = 3;

/// What a task does next.
#[derive(Clone, Copy, Debug)]
enum Do {
    Lock(usize),
    Read(usize),
    Write(usize),
    /// Gives back what was taken last.
    Release,
    /// To the task of this number.
    Send(usize),
    Receive,
    /// One of the two.
    Either(usize),
    /// Waits for the promise of the task of this number.
    Await(usize),
    /// Keeps its own.
    Keep,
    /// With all others.
    Meet,
    /// A job that wants this lock, once there is room for it.
    Post(usize),
    /// Until the owner is.
    Idle,
}

impl Do {
    fn uses_channels(self) -> bool {
        matches!(self, Self::Send(_) | Self::Receive | Self::Either(_))
    }

    fn uses_promises(self) -> bool {
        matches!(self, Self::Await(_) | Self::Keep)
    }

    fn uses_owner(self) -> bool {
        matches!(self, Self::Post(_) | Self::Idle)
    }
}

/// With numbers up to this.
fn does(many: usize) -> impl Strategy<Value = Do> {
    let which = move || 0..many;
    prop_oneof![
        3 => which().prop_map(Do::Lock),
        2 => which().prop_map(Do::Read),
        2 => which().prop_map(Do::Write),
        3 => Just(Do::Release),
        2 => which().prop_map(Do::Send),
        2 => Just(Do::Receive),
        1 => which().prop_map(Do::Either),
        1 => which().prop_map(Do::Await),
        1 => Just(Do::Keep),
        1 => Just(Do::Meet),
        1 => which().prop_map(Do::Post),
        1 => Just(Do::Idle),
    ]
}

/// Tasks, each of which holds the one receiver of its own channel, a sender of every other, its own promise and its place
/// at the barrier: all of them bound, so that every wait is exact.
#[derive(Clone, Debug)]
struct Program {
    tasks: Vec<Vec<Do>>,
    /// Of each channel.
    capacity: usize,
}

impl Program {
    /// There is no more than what somebody uses.
    fn uses(&self, what: impl Fn(Do) -> bool) -> bool {
        self.tasks.iter().flatten().any(|does| what(*does))
    }
}

/// Programs of so many tasks that do as many things.
fn programs(many: usize, acts: std::ops::Range<usize>) -> impl Strategy<Value = Program> {
    let tasks = prop::collection::vec(prop::collection::vec(does(many), acts), many);
    (tasks, 0..2usize).prop_map(|(tasks, capacity)| Program { tasks, capacity })
}

enum Taken<'a> {
    Lock(#[allow(dead_code, reason = "its drop gives it back")] impasse::sync::MutexGuard<'a, ()>),
    Read(#[allow(dead_code, reason = "as above")] impasse::sync::RwLockReadGuard<'a, ()>),
    Write(#[allow(dead_code, reason = "as above")] impasse::sync::RwLockWriteGuard<'a, ()>),
}

/// What all tasks use.
struct Shared {
    locks: [Mutex<()>; MANY],
    tables: [RwLock<()>; MANY],
    /// Where they begin together; in an exploration every order comes anyway.
    start: Option<Barrier>,
    /// Who was refused in a job.
    in_jobs: std::sync::Mutex<Vec<Deadlock>>,
}

#[derive(Default)]
struct Own {
    does: Vec<Do>,
    senders: Vec<Sender<u32>>,
    receiver: Option<Receiver<u32>>,
    keeps: Option<Resolver<()>>,
    awaits: Vec<Option<Promise<()>>>,
    party: Option<Party>,
    vm: Option<Handle<()>>,
}

fn received(received: Result<u32, RecvError>) -> Result<(), Deadlock> {
    match received {
        Err(RecvError::Deadlock(deadlock)) => Err(deadlock),
        _ => Ok(()),
    }
}

fn sent(sent: Result<(), SendError<u32>>) -> Result<(), Deadlock> {
    match sent {
        Err(SendError::Deadlock(_, deadlock)) => Err(deadlock),
        _ => Ok(()),
    }
}

fn waited<T>(waited: Result<T, impasse::WaitError>) -> Result<T, Deadlock> {
    waited.map_err(|error| error.deadlock().expect("nobody cancels"))
}

fn play(own: Own, shared: &Arc<Shared>) -> Result<(), Deadlock> {
    let Own { does, senders, receiver, keeps, mut awaits, party, vm } = own;
    let senders: Vec<_> = senders.into_iter().map(Sender::hold).collect();
    let (receiver, party) = (receiver.map(Receiver::hold), party.map(Party::hold));
    let mut keeps = keeps.map(Resolver::hold);
    let there = "whatever a program uses is there";
    if let Some(start) = &shared.start {
        start.wait();
    }
    let mut taken = Vec::new();
    for what in does {
        match what {
            Do::Lock(one) => taken.push(Taken::Lock(waited(shared.locks[one].checked_lock())?)),
            Do::Read(one) => taken.push(Taken::Read(waited(shared.tables[one].checked_read())?)),
            Do::Write(one) => taken.push(Taken::Write(waited(shared.tables[one].checked_write())?)),
            Do::Release => drop(taken.pop()),
            Do::Send(one) => sent(senders[one].send(1))?,
            Do::Receive => received(receiver.as_ref().expect(there).recv())?,
            Do::Either(one) => {
                let (sender, receiver) = (&*senders[one], receiver.as_ref().expect(there));
                impasse::select! {
                    recv(receiver) -> got => received(got),
                    send(sender, 1) -> ended => sent(ended),
                }?;
            }
            Do::Await(one) => {
                if let Some(Err(PromiseError::Deadlock(deadlock))) = awaits[one].take().map(Promise::wait) {
                    return Err(deadlock);
                }
            }
            Do::Keep => keeps.take().into_iter().for_each(|keeps| keeps.resolve(())),
            Do::Meet => {
                waited(party.as_ref().expect(there).wait())?;
            }
            Do::Post(one) => {
                let wanted = shared.clone();
                let job = move |(): &()| {
                    let refused = waited(wanted.locks[one].checked_lock()).err();
                    wanted.in_jobs.lock().unwrap().extend(refused);
                };
                match vm.as_ref().expect(there).post_wait("job", job) {
                    Err(PostError::Deadlock(deadlock)) => return Err(deadlock),
                    posted => posted.unwrap(),
                }
            }
            Do::Idle => waited(vm.as_ref().expect(there).wait_idle())?,
        }
    }
    Ok(())
}

/// Plays it and returns the reports.
fn played(program: &Program, start: Option<Barrier>) -> Vec<Deadlock> {
    let (locks, tables) = (std::array::from_fn(|_| Mutex::new(())), std::array::from_fn(|_| RwLock::new(())));
    let shared = Arc::new(Shared { locks, tables, start, in_jobs: std::sync::Mutex::default() });
    let vm = program
        .uses(Do::uses_owner)
        .then(|| Owner::builder("vm").capacity(1).wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).unwrap());
    let many = program.tasks.len();
    let mut all: Vec<_> =
        program.tasks.iter().map(|does| Own { does: does.clone(), ..Own::default() }).collect();
    if program.uses(Do::uses_channels) {
        let (senders, receivers): (Vec<_>, Vec<_>) = all.iter().map(|_| bounded(program.capacity)).unzip();
        for (own, receiver) in all.iter_mut().zip(receivers) {
            (own.senders, own.receiver) = (senders.clone(), Some(receiver));
        }
    }
    all.iter_mut().for_each(|own| own.awaits.resize_with(many, || None));
    if program.uses(Do::uses_promises) {
        // Of each task to the next.
        for keeper in 0..many {
            let (answer, resolver) = promise();
            all[keeper].keeps = Some(resolver);
            all[(keeper + 1) % many].awaits[keeper] = Some(answer);
        }
    }
    if program.uses(|does| matches!(does, Do::Meet)) {
        let parties = sync::Barrier::parties(many);
        all.iter_mut().zip(parties).for_each(|(own, party)| own.party = Some(party));
    }
    all.iter_mut().for_each(|own| own.vm = vm.as_ref().map(|vm| vm.handle().clone()));
    let play_one = |own| {
        let shared = shared.clone();
        thread::spawn(move || play(own, &shared))
    };
    let threads: Vec<_> = all.into_iter().map(play_one).collect();
    let ended = threads.into_iter().map(|thread| thread.checked_join().expect("nobody waits for this one"));
    let mut reports: Vec<_> = ended.filter_map(Result::err).collect();
    vm.into_iter().for_each(|vm| vm.shutdown(Shutdown::Drain).unwrap());
    reports.append(&mut shared.in_jobs.lock().unwrap());
    reports
}

/// Plays it on real threads. A hang ends the process.
fn run(program: &Program) -> Vec<Deadlock> {
    let (done, ended) = mpsc::channel();
    let played_there = program.clone();
    std::thread::spawn(move || {
        done.send(played(&played_there, Some(Barrier::new(played_there.tasks.len())))).unwrap()
    });
    match ended.recv_timeout(Duration::from_secs(60)) {
        Ok(reports) => reports,
        Err(_) => {
            // Shrinking would hang again, and again.
            eprintln!("hangs: {program:?}\n{:#?}", impasse::waiting_tasks());
            std::process::abort();
        }
    }
}

/// Whether no execution of it comes to a deadlock; nothing, if there are too many to know.
fn is_free_of_deadlock(program: &Program) -> Option<bool> {
    const EXECUTIONS: u64 = 5_000;
    let explored = program.clone();
    let explorer = Explorer::builder().max_executions(EXECUTIONS).allow_deadlock_errors(true);
    let report = explorer.explore(move || drop(played(&explored, None)));
    match report.verdict() {
        _ if report.deadlocked() > 0 => Some(false),
        Verdict::Verified => Some(true),
        Verdict::Truncated => None,
        _ => panic!("{program:?}\n{report}"),
    }
}

proptest! {
    #![proptest_config(super::config())]

    /// Every wait here is exact: what could hang is refused, and each hop of a report waits for others of it.
    #[test]
    fn whatever_waits_ends(program in programs(3, 1..8)) {
        for _ in 0..4 {
            for deadlock in run(&program) {
                for hop in deadlock.hops() {
                    for provider in hop.held_by.split(" or ") {
                        prop_assert!(deadlock.hops().iter().any(|other| other.task == provider), "{}", deadlock);
                    }
                }
            }
        }
    }

}

proptest! {
    // They are short, and few are as tight as it takes.
    #![proptest_config(Config { cases: super::config().cases.max(2_048), ..super::config() })]

    /// What is published too early or taken back too late looks like a deadlock to somebody.
    #[test]
    fn what_can_come_to_no_deadlock_is_never_reported(program in programs(2, 1..7)) {
        static KNOWN: AtomicUsize = AtomicUsize::new(0);
        if is_free_of_deadlock(&program) == Some(true) {
            KNOWN.fetch_add(1, Ordering::Relaxed);
            for _ in 0..20 {
                prop_assert_eq!(run(&program), []);
            }
        }
    }
}
