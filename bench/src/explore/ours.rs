//! The explorer of this crate. What it explores is the crate's own owner, as it ships.

use std::cell::Cell;
use std::sync::Arc;

use impasse::explore::{Explorer, Strategy, Verdict};
use impasse::{Handle, Owner, thread};

use super::cases::{Case, VICTIM};
use super::search::{Outcome, Search};
use super::subjects::{BUDGET, Subject};

pub const SUBJECTS: &[Subject] = &[
    Subject::exhaustive("impasse", |case, _, search| explore(Explorer::builder(), case, search)),
    Subject::exhaustive("impasse-2", |case, _, search| explore(Explorer::builder().workers(2), case, search)),
    Subject::drawing("impasse-random", |case, seed, search| draw(Strategy::Random { seed }, case, search)),
    Subject::drawing("impasse-pct3", |case, seed, search| {
        draw(Strategy::Pct { depth: 3, seed }, case, search)
    }),
];

fn draw(strategy: Strategy, case: Case, search: Arc<Search>) -> Outcome {
    explore(Explorer::builder().strategy(strategy).max_executions(BUDGET as u64), case, search)
}

fn explore(explorer: Explorer, case: Case, search: Arc<Search>) -> Outcome {
    let inner = search.clone();
    // One that goes on after a failure does not hunt for the first.
    let report = explorer.keep_going(!case.rare).explore(move || protocol(case, &inner));
    if !case.rare {
        search.executions_were(report.executions());
    }
    match report.verdict() {
        Verdict::Verified => Outcome::Exhausted,
        Verdict::Truncated => Outcome::Spent,
        _ => panic!("the protocol has no other bug than the one that is sought: {report}"),
    }
}

/// The owner's state.
struct Served {
    calls: Vec<Cell<usize>>,
    posts_to_come: Cell<usize>,
}

/// One execution; the calling thread is the owner.
fn protocol(case: Case, search: &Arc<Search>) {
    // Workers would contend for the counter, so it is left to the report unless the search ends in the middle.
    if case.rare {
        search.execution_begins();
    }
    let posts = case.sessions + usize::from(case.rare);
    let state = Served { calls: vec![Cell::new(0); case.sessions], posts_to_come: Cell::new(posts) };
    let (vm, main_loop) = Owner::builder("vm").attach(state);
    for session in 0..case.sessions {
        let vm = vm.clone();
        drop(
            thread::spawn_named("session", move || session_task(session, case.calls, &vm)).expect("a thread"),
        );
    }
    if case.rare {
        let (vm, search) = (vm.clone(), search.clone());
        drop(thread::spawn_named("closer", move || closer_task(case, &vm, search)).expect("a thread"));
    }
    main_loop.run();
}

fn session_task(session: usize, calls: usize, vm: &Handle<Served>) {
    for nth in 1..=calls {
        let answer = vm.call("callback", move |served| {
            let calls = &served.calls[session];
            calls.set(calls.get() + 1);
            calls.get()
        });
        assert_eq!(answer.expect("the owner is open"), nth);
    }
    let handle = vm.clone();
    vm.post("settle", move |served| take_post(served, &handle)).expect("the owner is open");
}

fn closer_task(case: Case, vm: &Handle<Served>, search: Arc<Search>) {
    let handle = vm.clone();
    let close = move |served: &Served| {
        if case.is_the_bug(served.calls[VICTIM].get()) {
            search.found();
        }
        take_post(served, &handle);
    };
    vm.post("close", close).expect("the owner is open");
}

/// A post is the last job of its task, so the owner's last job is a post: that one ends the loop.
fn take_post(served: &Served, vm: &Handle<Served>) {
    served.posts_to_come.set(served.posts_to_come.get() - 1);
    if served.posts_to_come.get() == 0 {
        vm.close();
    }
}
