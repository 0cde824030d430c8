//! Calls, posts, deadlines, futures and panics over several owners, which are closed meanwhile.

use std::cell::RefCell;
use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use impasse::{AfterPanic, Handle, Owner, Shutdown, WaitOnOwner};

use crate::ledger::{Hook, Ledger, Token};
use crate::tools::{self, Random};

const OWNERS: usize = 3;
const SENDERS: usize = 5;
const JOBS: usize = 80;

/// The last job of each sender that ran.
#[derive(Default)]
pub struct Seen(RefCell<HashMap<usize, u64>>);

impl Seen {
    /// A job of this sender runs, who numbers them.
    pub fn runs(&self, sender: usize, number: u64) {
        let before = self.0.borrow_mut().insert(sender, number);
        assert!(before.is_none_or(|before| before < number), "{before:?} ran before {number}");
    }
}

pub fn round(seed: u64) {
    let mut random = Random::new(seed, 0);
    let policy = random.policy();
    let hooks: Vec<Hook> = (0..OWNERS).map(|_| Hook::default()).collect();
    let owners: Vec<_> = hooks
        .iter()
        .enumerate()
        .map(|(number, hook)| {
            let builder = Owner::builder("vm").wait_on_owner(policy).on_unrun(hook.counts());
            let builder = if number == 1 { builder.capacity(1 + random.below(8)) } else { builder };
            let owner = match number {
                2 => builder
                    .on_panic(|_: &Seen, _: &_| AfterPanic::Replace(Seen::default()))
                    .spawn(Seen::default),
                _ => builder.spawn(Seen::default),
            };
            owner.expect("an owner")
        })
        .collect();
    let handles: Vec<_> = owners.iter().map(Owner::handle).collect();
    let closes = random.one_in(3);
    let senders: Vec<_> = (1..=SENDERS)
        .map(|number| {
            let (random, handles) = (Random::new(seed, number), handles.clone());
            let sender =
                Sender { number, random, policy, closes, sent: 0, handles, ledger: Ledger::default() };
            thread::spawn(move || sender.send())
        })
        .collect();
    // With the owners gone while the senders are at work, or after.
    let early = random.one_in(3).then(|| end(&owners, &mut random));
    let mut ledger = Ledger::default();
    senders.into_iter().for_each(|sender| ledger.add(sender.join().expect("a sender")));
    early.unwrap_or_else(|| end(&owners, &mut random));
    drop((owners, handles));
    ledger.balance(&hooks);
}

/// By two at once, or one who says it twice.
fn end(owners: &[Owner<Seen>], random: &mut Random) {
    random.pause();
    for owner in owners {
        let how = *random.of(&[Shutdown::Drain, Shutdown::Now]);
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(owner.shutdown(Shutdown::Drain), Ok(())));
            assert_eq!(owner.shutdown(how), Ok(()));
        });
        assert_eq!(owner.shutdown(how), Ok(()));
        assert_eq!(owner.handle().len(), 0);
        tools::step();
    }
}

struct Sender {
    number: usize,
    random: Random,
    policy: WaitOnOwner,
    /// Whether somebody closes the owners.
    closes: bool,
    sent: u64,
    handles: Vec<Handle<Seen>>,
    ledger: Ledger,
}

impl Sender {
    fn send(mut self) -> Ledger {
        for _ in 0..JOBS {
            let to = self.random.below(OWNERS);
            self.act(to);
            self.random.pause();
        }
        self.ledger
    }

    fn act(&mut self, to: usize) {
        let vm = self.handles[to].clone();
        let (sender, serves) = (self.number, self.policy == WaitOnOwner::Serve);
        self.sent += 1;
        let number = self.sent;
        let job = |token: Token| {
            move |seen: &Seen| {
                seen.runs(sender, number);
                token.run()
            }
        };
        match self.random.below(16) {
            0..=2 => {
                let (token, fate) = self.ledger.enter("call", to);
                fate.called(&vm.call("call", job(token)), serves);
            }
            3 => self.nested(&vm, to),
            4 | 5 => {
                let (token, fate) = self.ledger.enter("call_timeout", to);
                fate.called(&vm.call_timeout("call_timeout", self.random.timeout(), job(token)), true);
            }
            6 | 7 => {
                let (token, fate) = self.ledger.enter("call_async", to);
                let mut answer = vm.call_async("call_async", job(token));
                match self.random.below(4) {
                    0 => drop(answer),
                    1 => {
                        let _ = tools::poll_once(&mut answer);
                        self.random.pause();
                        drop(answer);
                    }
                    2 => {
                        let early = tools::poll_once(&mut answer);
                        let elsewhere =
                            || thread::spawn(|| tools::block_on(answer)).join().expect("a poller");
                        fate.called(&early.unwrap_or_else(elsewhere), true);
                    }
                    _ => fate.called(&tools::block_on(answer), true),
                }
            }
            8 | 9 => {
                let (token, fate) = self.ledger.enter("post", to);
                let job = job(token);
                fate.posted(&vm.post("post", move |seen| drop(job(seen))));
            }
            10 => {
                let (token, fate) = self.ledger.enter("post_within", to);
                let job = job(token);
                let posted =
                    vm.post_within("post_within", self.random.timeout(), move |seen| drop(job(seen)));
                fate.posted(&posted);
            }
            11 => {
                let (token, fate) = self.ledger.enter("post_wait", to);
                let job = job(token);
                fate.posted(&vm.post_wait("post_wait", move |seen| drop(job(seen))));
            }
            12 => {
                let (token, fate) = self.ledger.enter("panic", to);
                if self.random.one_in(2) {
                    let breaks = move |_: &Seen| -> () {
                        token.run();
                        tools::break_down()
                    };
                    fate.called(&vm.call("panic", breaks), true);
                } else {
                    let breaks = move |_: &Seen| {
                        token.run();
                        tools::break_down()
                    };
                    fate.posted(&vm.post("panic", breaks));
                }
            }
            13 => {
                vm.wait_idle().expect("no task of ours is waited for");
                tools::step();
            }
            14 => {
                let _ = (vm.len(), vm.is_closed(), vm.is_owner(), impasse::waiting_tasks());
            }
            _ if self.closes && self.random.one_in(20) => match self.random.one_in(2) {
                true => vm.close(),
                false => vm.close_now(),
            },
            _ => {}
        }
    }

    /// A job that calls its own owner, inline, and another.
    fn nested(&mut self, vm: &Handle<Seen>, to: usize) {
        let (sender, number) = (self.number, self.sent);
        let (outer, outer_fate) = self.ledger.enter("call", to);
        let (inline, inline_fate) = self.ledger.enter("inline call", to);
        // Crosswise some of these close a cycle, for which the policy `Block` has no answer.
        let next = match self.policy {
            WaitOnOwner::Block => to + 1,
            _ => self.random.below(OWNERS),
        };
        let other =
            self.handles.get(next).cloned().map(|other| (other, self.ledger.enter("call across", next)));
        let (again, is_owner, timeout) = (vm.clone(), vm.clone(), self.random.one_in(3));
        let answer = vm.call("outer", move |seen| {
            seen.runs(sender, number);
            assert!(is_owner.is_owner());
            let answer = again.call("inline", move |_| inline.run());
            inline_fate.called(&answer, true);
            if let Some((other, (token, fate))) = other {
                let answer = match timeout {
                    true => other.call_timeout("across", Duration::from_micros(100), move |_| token.run()),
                    false => other.call("across", move |_| token.run()),
                };
                fate.called(&answer, true);
            }
            outer.run()
        });
        outer_fate.called(&answer, true);
    }
}
