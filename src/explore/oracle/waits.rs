//! Random programs over everything else that tasks wait with.

use std::sync::Arc;
use std::time::Duration;

use super::programs::{Dice, Observed};
use crate::sync::channel::{Receiver, RecvTimeoutError, Select, Sender, bounded, unbounded};
use crate::sync::{
    Barrier, End as _, OnceLock, Promise, Resolver, RwLock, RwLockUpgradableReadGuard, Semaphore, WaitGroup,
    promise,
};
use crate::thread;

/// What a task does next. The number is that of the lock or the channel.
#[derive(Clone, Copy, Debug)]
enum Do {
    /// With what is read held, the next.
    Read(usize),
    Write(usize),
    TryRead(usize),
    TryWrite(usize),
    /// A read that becomes a write, if nobody upgrades.
    Upgrade(usize),
    /// Gives back what was taken last.
    Release,
    Send(usize),
    Recv(usize),
    TrySend(usize),
    TryRecv(usize),
    RecvTimed(usize),
    /// Sends on one channel or receives from the other, whichever is first.
    Exchange,
    Len(usize),
    /// Lets the ends of this channel go.
    Drop(usize),
    Acquire(usize),
    TryAcquire,
    AddPermit,
    Meet,
    Park,
    ParkTimed,
    /// Tells the first task to go on.
    Unpark,
    Once(usize),
    Get(usize),
    /// Keeps the promise that it holds.
    Keep,
    /// Waits for that of the task before.
    Await,
    Pooled,
    LeaveGroup,
    WaitForGroup,
}

/// A program: whether ends are bound to their tasks, how much the first channel holds, and what each task does.
#[derive(Clone, Debug)]
pub(super) struct Waits {
    bound: bool,
    capacity: Option<usize>,
    channels: bool,
    pool: bool,
    tasks: Vec<Vec<Do>>,
}

/// What all tasks share.
struct Shared {
    locks: [RwLock<u32>; 2],
    permits: Semaphore,
    barrier: Barrier,
    values: [OnceLock<usize>; 2],
    pool: Option<thread::Pool>,
}

/// What one task has.
struct Own {
    /// A sender of one channel and a receiver of the other.
    sender: Option<(usize, Sender<u32>)>,
    receiver: Option<(usize, Receiver<u32>)>,
    keeps: Option<Resolver<u32>>,
    awaits: Option<Promise<u32>>,
    member: Option<WaitGroup>,
    first: Option<thread::Thread>,
}

impl Waits {
    pub(super) fn random(seed: u64) -> Self {
        use Do::*;
        let mut dice = Dice::new(seed);
        let flavour = dice.roll(8);
        let bound = dice.roll(2) == 0;
        let capacity = [None, Some(0), Some(1), Some(1)][dice.roll(4) as usize];
        let tasks = 2 + dice.roll(3) / 2;
        let most = if tasks == 2 { 3 } else { 2 };
        let does = |dice: &mut Dice| {
            let o = dice.roll(2) as usize;
            let mut of = |choices: &[Do]| choices[dice.roll(choices.len() as u64) as usize];
            match flavour {
                0 => of(&[Read(o), Write(o), Read(0), Write(0), Release]),
                1 => of(&[Read(0), Write(0), TryRead(0), TryWrite(0), Upgrade(0), Release]),
                2 => of(&[Send(0), Recv(0), Send(o), Recv(o), Drop(0)]),
                3 => of(&[Send(0), TrySend(0), TryRecv(0), Recv(0), Len(0), RecvTimed(0), Drop(0)]),
                4 => of(&[Send(o), Exchange, Exchange, Recv(o), TrySend(o)]),
                5 => of(&[Acquire(1), Acquire(2), TryAcquire, AddPermit, Release, Meet]),
                6 => of(&[Park, ParkTimed, Unpark, Unpark, Once(o), Get(o), Once(0)]),
                _ => of(&[Keep, Await, Write(0), Release, LeaveGroup, WaitForGroup, Pooled]),
            }
        };
        let task = |dice: &mut Dice| (0..1 + dice.roll(most)).map(|_| does(dice)).collect();
        let channels = matches!(flavour, 2..5);
        Self {
            bound,
            capacity,
            channels,
            pool: flavour == 7,
            tasks: (0..tasks).map(|_| task(&mut dice)).collect(),
        }
    }

    /// The program as a closure for the explorer.
    pub(super) fn body(&self) -> Arc<dyn Fn() + Send + Sync> {
        let waits = self.clone();
        Arc::new(move || waits.run())
    }

    fn run(&self) {
        Observed::begin();
        let shared = Arc::new(Shared {
            locks: [0, 0].map(RwLock::new),
            permits: Semaphore::new(2),
            barrier: Barrier::new(2),
            values: [(); 2].map(|()| OnceLock::new()),
            pool: self.pool.then(|| thread::Pool::new("pool", 1).unwrap()),
        });
        let (mut senders, mut receivers) = self.ends();
        let promises: Vec<_> = self.tasks.iter().map(|_| promise::<u32>()).collect();
        let (mut awaits, keeps): (Vec<_>, Vec<_>) = promises.into_iter().unzip();
        awaits.rotate_right(1);
        let mut group = self.pool.then(WaitGroup::new);
        let last = self.tasks.len() - 1;
        let mut threads: Vec<thread::JoinHandle<()>> = Vec::new();
        for (task, ((does, keeps), awaits)) in self.tasks.iter().zip(keeps).zip(awaits).enumerate() {
            let own = Own {
                sender: senders.remove(0),
                receiver: receivers.remove(0),
                keeps: Some(keeps),
                awaits: Some(awaits),
                member: if task == last { group.take() } else { group.clone() },
                first: threads.first().map(|thread| thread.thread().clone()),
            };
            let (shared, does, bound) = (shared.clone(), does.clone(), self.bound);
            let name = task.to_string();
            threads.push(thread::spawn_named(&name, move || play(task, &shared, own, &does, bound)).unwrap());
        }
        for thread in threads {
            let _ = thread.checked_join();
        }
    }
}

impl Waits {
    /// A sender of one channel for each task, and a receiver of the other; none is left over.
    #[allow(clippy::type_complexity, reason = "said once")]
    fn ends(&self) -> (Vec<Option<(usize, Sender<u32>)>>, Vec<Option<(usize, Receiver<u32>)>>) {
        let none = || (0..self.tasks.len()).map(|_| None).collect();
        if !self.channels {
            return (none(), self.tasks.iter().map(|_| None).collect());
        }
        let channels = [self.capacity.map_or_else(unbounded, bounded), unbounded()];
        let (mut senders, mut receivers): (Vec<_>, Vec<_>) =
            channels.into_iter().map(|(sender, receiver)| (Some(sender), Some(receiver))).unzip();
        let tasks = self.tasks.len();
        let ends = (0..tasks).map(|task| {
            let (to, at) = (task % 2, 1 - task % 2);
            let is_last = task + 2 >= tasks;
            let sender = if is_last { senders[to].take() } else { senders[to].clone() };
            let receiver = if is_last { receivers[at].take() } else { receivers[at].clone() };
            (sender.map(|sender| (to, sender)), receiver.map(|receiver| (at, receiver)))
        });
        ends.unzip()
    }
}

/// What was taken, in the order in which it was.
enum Taken<'a> {
    Read(#[allow(dead_code, reason = "it is given back by its drop")] crate::sync::RwLockReadGuard<'a, u32>),
    Write(#[allow(dead_code, reason = "as above")] crate::sync::RwLockWriteGuard<'a, u32>),
    Permit(#[allow(dead_code, reason = "as above")] crate::sync::SemaphorePermit<'a>),
}

fn play(task: usize, shared: &Shared, own: Own, does: &[Do], bound: bool) {
    let Own { mut sender, mut receiver, mut keeps, mut awaits, mut member, first } = own;
    // What is bound is held from here on.
    let mut sender_bound = sender.take_if(|_| bound).map(|(to, sender)| (to, sender.hold()));
    let mut receiver_bound = receiver.take_if(|_| bound).map(|(at, receiver)| (at, receiver.hold()));
    let mut keeps_bound = keeps.take_if(|_| bound).map(|keeps| keeps.hold());
    let mut member_bound = member.take_if(|_| bound).map(|member| member.hold());
    let mut taken = Vec::new();
    for what in does {
        let to = |o: usize| {
            let bound = sender_bound.as_ref().filter(|(to, _)| *to == o).map(|(_, sender)| &**sender);
            bound.or(sender.as_ref().filter(|(to, _)| *to == o).map(|(_, sender)| sender))
        };
        let at = |o: usize| {
            let bound = receiver_bound.as_ref().filter(|(at, _)| *at == o).map(|(_, receiver)| &**receiver);
            bound.or(receiver.as_ref().filter(|(at, _)| *at == o).map(|(_, receiver)| receiver))
        };
        let came = match *what {
            Do::Read(o) => match shared.locks[o].checked_read() {
                Ok(read) => {
                    let came = read.to_string();
                    taken.push(Taken::Read(read));
                    came
                }
                Err(_) => "a cycle".into(),
            },
            Do::Write(o) => match shared.locks[o].checked_write() {
                Ok(mut write) => {
                    *write += 1;
                    let came = write.to_string();
                    taken.push(Taken::Write(write));
                    came
                }
                Err(_) => "a cycle".into(),
            },
            Do::TryRead(o) => format!("{:?}", shared.locks[o].try_read().map(|read| *read)),
            Do::TryWrite(o) => format!(
                "{:?}",
                shared.locks[o].try_write().map(|mut write| {
                    *write += 1;
                    *write
                })
            ),
            Do::Upgrade(o) => format!(
                "{:?}",
                shared.locks[o].try_upgradable_read().map(|read| {
                    match RwLockUpgradableReadGuard::try_upgrade(read) {
                        Ok(mut write) => {
                            *write += 1;
                            *write
                        }
                        Err(read) => 100 + *read,
                    }
                })
            ),
            Do::Release => {
                drop(taken.pop());
                String::new()
            }
            Do::Send(o) => kind(to(o).map(|sender| sender.send(task as u32))),
            Do::TrySend(o) => kind(to(o).map(|sender| sender.try_send(task as u32))),
            Do::Recv(o) => kind(at(o).map(Receiver::recv)),
            Do::TryRecv(o) => format!("{:?}", at(o).map(Receiver::try_recv)),
            Do::RecvTimed(o) => {
                let timeout = Duration::from_secs(1 + task as u64);
                match at(o).map(|receiver| receiver.recv_timeout(timeout)) {
                    Some(Err(RecvTimeoutError::Timeout)) => "late".into(),
                    other => kind(other),
                }
            }
            Do::Exchange => match (to(0).or(to(1)), at(0).or(at(1))) {
                (Some(one), Some(other)) => {
                    let mut select = Select::new();
                    let (one, other) = (select.send(one, task as u32), select.recv(other));
                    let outcome = select.wait();
                    match outcome.is(&one) {
                        true => format!("sent {}", kind(Some(one.sent(&outcome)))),
                        false => format!("received {}", kind(Some(other.received(&outcome)))),
                    }
                }
                _ => "gone".into(),
            },
            Do::Len(o) => format!("{:?}", at(o).map(Receiver::len)),
            Do::Drop(o) => {
                drop(sender.take_if(|(to, _)| *to == o));
                drop(sender_bound.take_if(|(to, _)| *to == o));
                drop(receiver.take_if(|(at, _)| *at == o));
                drop(receiver_bound.take_if(|(at, _)| *at == o));
                String::new()
            }
            Do::Acquire(many) => match shared.permits.checked_acquire_many(many) {
                Ok(permit) => {
                    taken.push(Taken::Permit(permit));
                    "taken".into()
                }
                Err(_) => "over".into(),
            },
            Do::TryAcquire => format!("{}", shared.permits.try_acquire().is_some()),
            Do::AddPermit => {
                shared.permits.add_permits(1);
                String::new()
            }
            Do::Meet => kind(Some(shared.barrier.checked_wait().map(|met| met.is_leader()))),
            Do::Park => {
                thread::park();
                String::new()
            }
            Do::ParkTimed => {
                thread::park_timeout(Duration::from_secs(1 + task as u64));
                String::new()
            }
            Do::Unpark => {
                first.as_ref().inspect(|first| first.unpark());
                String::new()
            }
            Do::Once(o) => kind(Some(shared.values[o].checked_get_or_init(|| {
                let other = shared.values[1 - o].get();
                10 * task + usize::from(other.is_some())
            }))),
            Do::Get(o) => format!("{:?}", shared.values[o].get()),
            Do::Keep => {
                keeps.take().into_iter().for_each(|keeps| keeps.resolve(task as u32));
                keeps_bound.take().into_iter().for_each(|keeps| keeps.resolve(task as u32));
                String::new()
            }
            Do::Await => kind(awaits.take().map(Promise::wait)),
            Do::Pooled => {
                let pool = shared.pool.as_ref().expect("there is one");
                kind(Some(pool.spawn(move || Observed::note(500, task.to_string())).wait()))
            }
            Do::LeaveGroup => {
                drop((member.take(), member_bound.take()));
                String::new()
            }
            Do::WaitForGroup => {
                drop(member_bound.take());
                kind(member.take().map(WaitGroup::checked_wait))
            }
        };
        Observed::note(task, format!("{what:?}: {came}"));
    }
}

/// A value, or what kind of error.
fn kind<V: std::fmt::Debug, E: std::fmt::Debug>(came: Option<Result<V, E>>) -> String {
    match came {
        None => "gone".into(),
        Some(Ok(value)) => format!("{value:?}"),
        Some(Err(error)) => {
            let error = format!("{error:?}");
            error.split(['(', ' ', '{']).next().unwrap_or_default().to_owned()
        }
    }
}
