//! Posts that wait for room in small queues, some on behalf of runs that are cancelled.

use std::thread;

use impasse::{Handle, Owner, PostError, Run, RunError, Session, Shutdown};

use crate::jobs::Seen;
use crate::ledger::{Hook, Ledger};
use crate::tools::{self, Random};

const SENDERS: usize = 4;
const POSTS: usize = 60;
const RUNS: usize = 10;

pub fn round(seed: u64) {
    let mut random = Random::new(seed, 0);
    let (hook, policy, capacity) = (Hook::default(), random.policy(), 1 + random.below(3));
    let builder = Owner::builder("vm").wait_on_owner(policy).capacity(capacity).on_unrun(hook.counts());
    let owner = builder.spawn(Seen::default).expect("an owner");
    let senders: Vec<_> = (1..=SENDERS)
        .map(|number| {
            let (vm, random) = (owner.handle(), Random::new(seed, number));
            match number {
                1 => thread::spawn(move || in_runs(&vm, random)),
                _ => thread::spawn(move || send(&vm, random, number, capacity)),
            }
        })
        .collect();
    let closes = random.below(4);
    if closes < 2 {
        thread::sleep(std::time::Duration::from_micros(random.below(2000) as u64));
        let how = if closes == 0 { Shutdown::Drain } else { Shutdown::Now };
        assert_eq!(owner.shutdown(how), Ok(()));
    }
    let mut ledger = Ledger::default();
    senders.into_iter().for_each(|sender| ledger.add(sender.join().expect("a sender")));
    drop(owner);
    ledger.balance(&[hook]);
}

fn send(vm: &Handle<Seen>, mut random: Random, sender: usize, capacity: usize) -> Ledger {
    let mut ledger = Ledger::default();
    for number in 0..POSTS as u64 {
        let (token, fate) = ledger.enter("to a small queue", 0);
        let job = move |seen: &Seen| {
            seen.runs(sender, number);
            drop(token.run());
        };
        match random.below(6) {
            0 => fate.posted(&vm.post("post", job)),
            1 => fate.called(&vm.call("call", job), false),
            2 => fate.posted(&vm.post_within("post_within", random.timeout(), job)),
            _ => {
                let posted = vm.post_wait("post_wait", job);
                assert!(matches!(posted, Ok(()) | Err(PostError::Closed(_))), "{posted:?}");
                fate.posted(&posted);
            }
        }
        // Each sender can have one more there, and what a cancelled run takes back stays until its turn comes.
        let queued = vm.len();
        assert!(queued <= capacity + SENDERS + RUNS, "{queued} queued in a queue of {capacity}");
        random.pause();
    }
    ledger
}

/// Posts from runs, which are cancelled in the middle.
fn in_runs(vm: &Handle<Seen>, mut random: Random) -> Ledger {
    let session = Session::builder("sender", vm).engine(|run: &Run<Seen>, posts: Vec<(_, _)>| {
        for (token, fate) in posts {
            let token: crate::ledger::Token = token;
            let fate: std::sync::Arc<crate::ledger::Fate> = fate;
            let posted = run.owner().post_wait("post of a run", move |_| drop(token.run()));
            fate.posted(&posted);
            posted?;
        }
        Ok::<_, PostError>(())
    });
    let mut ledger = Ledger::default();
    for _ in 0..RUNS {
        let posts = (0..6).map(|_| ledger.enter("from a run", 0)).collect();
        let run = match session.start(posts) {
            Err(RunError::Closed(_)) => continue,
            started => started.expect("a run"),
        };
        random.pause();
        let cancelled = random.one_in(2) && run.cancel();
        let ended = run.wait();
        tools::step();
        match ended {
            Ok(()) | Err(RunError::Failed(_)) => assert!(!cancelled),
            Err(RunError::Cancelled(_)) => assert!(cancelled),
            Err(RunError::Closed(_)) => assert!(vm.is_closed()),
            other => panic!("{other:?}"),
        }
    }
    ledger
}
