//! A queue, a log, and at most one run: what must become of it.

use std::collections::VecDeque;

use impasse::{Shutdown, Unrun, WaitOnOwner};

use super::act::{Act, Does};
use super::told::{Told, settled};

/// The logged number, and the how manieth state it was logged on.
pub type Log = Vec<(u32, u32)>;

/// What can be seen of an owner at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub log: Log,
    pub unrun: Vec<(&'static str, Unrun)>,
    pub queued: usize,
    pub closed: bool,
    pub runs: bool,
}

#[derive(Clone, Debug)]
struct Job {
    number: u32,
    does: Does,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Post(&'static str),
    /// Its deadline has passed.
    Expired,
    /// Its future is kept.
    Awaited,
    /// Whoever waited has taken it back.
    Left,
    /// Its sender waits for room.
    Waits,
}

#[derive(Clone, Debug)]
pub struct Model {
    pub policy: WaitOnOwner,
    pub capacity: Option<usize>,
    /// The state is replaced after a panic.
    pub replaces: bool,
    held: bool,
    nothing_runs: bool,
    state: u32,
    queue: VecDeque<Job>,
    run: Option<Run>,
    pub shown: Shown,
    /// What those were told who were told something by the last act.
    pub told: Vec<Told>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    number: u32,
    settles: bool,
}

impl Model {
    pub fn new(policy: WaitOnOwner, capacity: Option<usize>, replaces: bool) -> Self {
        Self {
            policy,
            capacity,
            replaces,
            held: false,
            nothing_runs: false,
            state: 0,
            queue: VecDeque::new(),
            run: None,
            shown: Shown::default(),
            told: Vec::new(),
        }
    }

    pub fn is_held(&self) -> bool {
        self.held
    }

    pub fn apply(&mut self, act: &Act) {
        let told = self.act(act);
        self.told = told;
        self.shown.queued = self.queue.len();
        self.shown.runs = self.run.is_some();
    }

    fn act(&mut self, act: &Act) -> Vec<Told> {
        use Does::Nothing;
        let closed = self.shown.closed;
        match *act {
            Act::Release => return self.release(),
            Act::DropAnswers => {
                let answers = self.queue.iter_mut().filter(|job| job.kind == Kind::Awaited);
                answers.for_each(|job| job.kind = Kind::Left);
            }
            Act::Close => self.close(),
            Act::CloseNow | Act::Shutdown(Shutdown::Now) => return self.close_now(),
            Act::Shutdown(_) => {
                self.close();
                return vec![Told::Done];
            }
            Act::Cancel => return self.end_run(Told::Cancelled).into_iter().collect(),
            Act::Start { .. } | Act::RunTimeout { .. } if self.run.is_some() => return vec![Told::Active],
            Act::RunOnOwner(_) if !closed && self.policy == WaitOnOwner::Reject => {
                return vec![Told::Rejected];
            }
            Act::RunOnOwner(_) if !closed && self.run.is_some() => return vec![Told::Active],
            Act::Finish(number) => {
                if self.run.is_none() {
                    return Vec::new();
                }
                self.log(number);
                return self.end_run(Told::Answer(number)).into_iter().collect();
            }
            _ if closed => return vec![Told::Closed],
            Act::Hold(number) => {
                self.log(number);
                self.held = true;
            }
            Act::Call { number, depth, panics } => {
                (0..=depth).for_each(|level| self.log(number + level));
                if panics {
                    self.panicked();
                    return vec![Told::Panicked];
                }
                return vec![Told::Answer(number + depth)];
            }
            Act::CallTimeout(number) if self.held => {
                self.queue(number, Nothing, Kind::Left);
                return vec![Told::TimedOut];
            }
            Act::CallAsync { number, drops } if self.held => {
                self.queue(number, Nothing, if drops { Kind::Left } else { Kind::Awaited });
            }
            Act::CallTimeout(number) | Act::CallAsync { number, .. } | Act::FromAThread(number) => {
                self.log(number);
                return vec![Told::Answer(number)];
            }
            Act::WaitIdleOnOwner => return vec![Told::Deadlock],
            Act::Post(..) | Act::PostWithin { .. } if self.is_full() => return vec![Told::Full],
            Act::Post(number, does) => self.queue(number, does, Kind::Post("post")),
            Act::PostWithin { number, expires } => {
                self.queue(number, Nothing, if expires { Kind::Expired } else { Kind::Post("post_within") });
            }
            Act::PostWait(number) if self.is_full() => {
                self.queue(number, Nothing, Kind::Waits);
                return Vec::new();
            }
            Act::PostWait(number) => self.queue(number, Nothing, Kind::Post("post_wait")),
            Act::Start { number, settles } => self.run = Some(Run { number, settles }),
            Act::RunTimeout { in_time: false, .. } => return vec![Told::TimedOut],
            Act::RunOnOwner(_) if self.policy == WaitOnOwner::Detect => return vec![Told::Deadlock],
            Act::RunTimeout { number, .. } | Act::RunOnOwner(number) => {
                self.log(number);
                return vec![Told::Answer(number)];
            }
        }
        vec![Told::Done]
    }

    fn log(&mut self, number: u32) {
        self.shown.log.push((number, self.state));
    }

    fn panicked(&mut self) {
        self.state += u32::from(self.replaces);
    }

    fn is_full(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.queue.len() >= capacity)
    }

    /// A job comes, and runs if nothing prevents it.
    fn queue(&mut self, number: u32, does: Does, kind: Kind) {
        self.queue.push_back(Job { number, does, kind });
        if !self.held {
            self.run_all();
        }
    }

    /// Runs what is queued, in order; what those are told who wait for it.
    fn run_all(&mut self) -> Vec<Told> {
        let (mut answers, mut senders) = (Vec::new(), Vec::new());
        while let Some(Job { number, does, kind }) = self.queue.pop_front() {
            match kind {
                Kind::Left => continue,
                Kind::Expired => {
                    self.shown.unrun.push(("post_within", Unrun::Expired));
                    continue;
                }
                Kind::Awaited => answers.push(Told::Answer(number)),
                Kind::Waits => senders.push(Told::Done),
                Kind::Post(_) => {}
            }
            self.log(number);
            match does {
                Does::Nothing => {}
                Does::Posts if self.is_full() || self.shown.closed => {}
                Does::Posts => {
                    let (does, kind) = (Does::Nothing, Kind::Post("post of a post"));
                    self.queue.push_back(Job { number: number + 1, does, kind });
                }
                Does::Panics => self.panicked(),
            }
        }
        answers.extend(senders);
        answers
    }

    fn release(&mut self) -> Vec<Told> {
        self.held = false;
        self.run_all()
    }

    fn close(&mut self) {
        self.shown.closed = true;
        self.end_run(Told::Closed);
    }

    fn close_now(&mut self) -> Vec<Told> {
        (self.shown.closed, self.nothing_runs) = (true, true);
        let refused = std::mem::take(&mut self.queue);
        let told = refused.iter().filter(|job| matches!(job.kind, Kind::Awaited | Kind::Waits));
        let told = told.map(|_| Told::Closed).collect();
        for job in refused {
            match job.kind {
                Kind::Post(label) => self.shown.unrun.push((label, Unrun::Closed)),
                // It is not known yet that it would have been too late.
                Kind::Expired => self.shown.unrun.push(("post_within", Unrun::Closed)),
                Kind::Awaited | Kind::Left | Kind::Waits => {}
            }
        }
        self.end_run(Told::Closed);
        told
    }

    /// The run ends like this, if there is one; what its starter is told, unless it settles on the owner.
    fn end_run(&mut self, told: Told) -> Option<Told> {
        let Run { number, settles } = self.run.take()?;
        if !settles {
            return Some(told);
        }
        match self.nothing_runs {
            true => self.shown.unrun.push(("settled", Unrun::Closed)),
            false => self.queue(settled(number, told), Does::Nothing, Kind::Post("settled")),
        }
        None
    }
}
