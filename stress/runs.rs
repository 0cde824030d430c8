//! Runs that call back, from outside and from jobs; cancelled, timed out, settled on the owner.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use impasse::{CallError, Handle, Owner, Run, RunError, Session, Shutdown, WaitOnOwner};

use crate::ledger::{Fate, Hook, Ledger, Token};
use crate::tools::{self, Random};

const STARTERS: usize = 4;
const RUNS: usize = 25;

/// What a run is to do.
struct Errand {
    callback: (Token, Arc<Fate>),
    post: (Token, Arc<Fate>),
    across: (Token, Arc<Fate>),
    other: Handle<()>,
    goes_across: bool,
    helper: bool,
}

type Runs = Session<(), Errand, u64>;

pub fn round(seed: u64) {
    let mut random = Random::new(seed, 0);
    let policy = random.policy();
    let hooks = [Hook::default(), Hook::default()];
    let owners = [0, 1].map(|number| {
        let builder = Owner::builder("vm").wait_on_owner(policy).on_unrun(hooks[number].counts());
        builder.spawn(|| ()).expect("an owner")
    });
    let starters: Vec<_> = (1..=STARTERS)
        .map(|number| {
            let [vm, other] = [0, 1].map(|offset| owners[(number + offset) % 2].handle());
            let at = [number % 2, (number + 1) % 2];
            let helpers = Arc::new(AtomicU32::new(0));
            let starter = Starter {
                session: session(&vm, helpers.clone()),
                helpers,
                random: Random::new(seed, number),
                policy,
                at,
                vm,
                other,
                ledger: Ledger::default(),
            };
            thread::spawn(move || starter.start())
        })
        .collect();
    if random.one_in(4) {
        thread::sleep(Duration::from_micros(random.below(5000) as u64));
        owners[0].handle().close_now();
    }
    let mut ledger = Ledger::default();
    starters.into_iter().for_each(|starter| ledger.add(starter.join().expect("a starter")));
    for owner in owners {
        // Whatever else was started has a thread, and an owner that ends does not wait for that.
        assert_eq!(owner.shutdown(Shutdown::Drain), Ok(()));
    }
    ledger.balance(&hooks);
}

/// A session with one run at a time, which says so itself. Some runs have helpers, and those that are cancelled end
/// before these.
fn session(vm: &Handle<()>, helpers: Arc<AtomicU32>) -> Runs {
    let active = AtomicU32::new(0);
    Session::builder("s", vm).engine(move |run: &Run<()>, errand: Errand| {
        assert_eq!(active.fetch_add(1, Ordering::Relaxed), 0, "two runs at a time");
        let Errand { callback, post, across, other, goes_across, helper } = errand;
        post.1.posted(&run.post("post of a run", move |()| drop(post.0.run())));
        let work = move |vm: &Handle<()>| {
            if goes_across {
                let (token, fate) = across;
                fate.called(&other.call("across", move |()| token.run()), true);
            }
            let (token, fate) = callback;
            let answer = vm.call("callback", move |()| token.run());
            fate.called(&answer, true);
            answer.map(|number| *number)
        };
        let answer = match helper {
            false => work(run.owner()),
            true => {
                let (vm, helpers) = (run.owner().clone(), helpers.clone());
                helpers.fetch_add(1, Ordering::Relaxed);
                let help = move || {
                    let answer = work(&vm);
                    helpers.fetch_sub(1, Ordering::Release);
                    answer
                };
                let helper = impasse::thread::spawn_named("helper", help).expect("a thread");
                helper.checked_join().map_err(CallError::from).and_then(|answer| answer)
            }
        };
        active.fetch_sub(1, Ordering::Relaxed);
        answer
    })
}

struct Starter {
    session: Runs,
    helpers: Arc<AtomicU32>,
    random: Random,
    policy: WaitOnOwner,
    at: [usize; 2],
    vm: Handle<()>,
    other: Handle<()>,
    ledger: Ledger,
}

impl Starter {
    fn start(mut self) -> Ledger {
        for _ in 0..RUNS {
            self.run();
            self.random.pause();
        }
        // The last run may go on, and its jobs are in the ledger.
        while self.session.active().is_some() || self.helpers.load(Ordering::Acquire) > 0 {
            thread::yield_now();
        }
        self.ledger
    }

    fn errand(&mut self) -> Errand {
        Errand {
            callback: self.ledger.enter("callback", self.at[0]),
            post: self.ledger.enter("post of a run", self.at[0]),
            across: self.ledger.enter("callback to another owner", self.at[1]),
            other: self.other.clone(),
            // Under `Block` nothing helps the one who goes round in circles.
            goes_across: self.policy != WaitOnOwner::Block && self.random.one_in(3),
            helper: self.random.one_in(3),
        }
    }

    fn run(&mut self) {
        let errand = self.errand();
        let choice = self.random.below(8);
        match choice {
            0 => self.ended(self.session.run(errand), None),
            1 => {
                let timeout = self.random.timeout();
                self.ended(self.session.run_timeout(timeout, errand), None);
            }
            2 | 3 if self.policy != WaitOnOwner::Block => self.is_told_by_a_job(errand),
            _ => {
                let mut run = match self.session.start(errand) {
                    Ok(run) => run,
                    Err(error) => return self.ended(Err(error), None),
                };
                assert!(run.id() > 0);
                self.random.pause();
                match choice {
                    4 => {
                        let cancelled = run.cancel();
                        assert_eq!(run.cancel(), cancelled, "a cancellation is repeated");
                        self.ended(run.wait(), Some(cancelled));
                    }
                    5 => {
                        let (token, fate) = self.ledger.enter("settlement", self.at[0]);
                        let settled = run.on_settled("settled", move |(), _| drop(token.run()));
                        assert!(settled.is_ok() || self.vm.is_closed());
                        fate.posted(&settled);
                    }
                    6 => {
                        let (canceller, pause) = (run.canceller(), self.random.one_in(2));
                        let cancels = thread::spawn(move || {
                            pause.then(thread::yield_now);
                            canceller.cancel()
                        });
                        let ended = tools::block_on(run.into_future());
                        self.ended(ended, Some(cancels.join().expect("a canceller")));
                    }
                    _ => match run.wait_timeout(self.random.timeout()) {
                        Err(RunError::TimedOut { .. }) => self.ended(run.wait(), None),
                        ended => self.ended(ended, None),
                    },
                }
            }
        }
    }

    fn is_told_by_a_job(&mut self, errand: Errand) {
        let (session, policy) = (self.session.clone(), self.policy);
        let on_owner = self.vm.call("eval", move |()| session.run(errand));
        match on_owner {
            Ok(Err(RunError::WaitOnOwner { .. })) => assert_eq!(policy, WaitOnOwner::Reject),
            Ok(Err(RunError::Deadlock(deadlock))) => {
                assert!(policy != WaitOnOwner::Reject && deadlock.hops().len() >= 2, "{deadlock}");
            }
            Ok(ended) => {
                assert_ne!(policy, WaitOnOwner::Reject);
                self.ended(ended, None);
            }
            Err(CallError::Closed(_)) => assert!(self.vm.is_closed()),
            Err(error) => panic!("{error:?}"),
        }
        tools::step();
    }

    /// A run has ended, which somebody cancelled, or tried to, or nobody did.
    fn ended(&self, ended: Result<u64, RunError>, cancelled: Option<bool>) {
        tools::step();
        let closed = self.vm.is_closed();
        match ended {
            Ok(_) => assert_ne!(cancelled, Some(true), "an answer after a cancellation"),
            Err(RunError::Cancelled(_)) => assert_eq!(cancelled, Some(true)),
            Err(RunError::Active { .. } | RunError::TimedOut { .. } | RunError::Deadlock(_)) => {}
            Err(RunError::Closed(_)) => assert!(closed),
            // The owner at the other end.
            Err(RunError::Failed(error)) => {
                let error = error.downcast_ref::<CallError>();
                assert!(matches!(error, Some(CallError::Closed(_))), "{error:?}");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}
