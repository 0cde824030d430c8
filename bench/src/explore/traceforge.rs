//! TraceForge: optimal DPOR over messages. Its threads are actors, so the protocol is written with its messages.

use std::sync::Arc;

use ::traceforge::thread::{self, ThreadId};
use ::traceforge::{Config, ConsType, recv_msg_block, send_msg, verify};

use super::cases::{Case, VICTIM};
use super::search::{Outcome, Search};
use super::subjects::Subject;

/// With mailbox delivery the messages of different senders come in any order of sending, as in the owner's
/// queue. Causal delivery is weaker and cheaper to check; the orders of this protocol are the same with both.
pub const SUBJECTS: &[Subject] = &[
    Subject::exhaustive("traceforge-causal", |case, _, search| explore(ConsType::Causal, case, search)),
    Subject::exhaustive("traceforge-mailbox", |case, _, search| explore(ConsType::Mailbox, case, search)),
];

fn explore(delivery: ConsType, case: Case, search: Arc<Search>) -> Outcome {
    // It would print its progress at every multiple of this.
    let never = u32::MAX as usize;
    let config = Config::builder().with_progress_report(never).with_cons_type(delivery).build();
    verify(config, move || protocol(case, &search));
    Outcome::Exhausted
}

#[derive(Clone, Debug, PartialEq)]
enum Job {
    Call { session: usize, caller: ThreadId },
    Settle,
    Close,
}

/// One execution; the calling thread is the owner.
fn protocol(case: Case, search: &Search) {
    search.execution_begins();
    let owner = thread::current_id();
    let mut tasks = Vec::new();
    for session in 0..case.sessions {
        tasks.push(thread::spawn(move || session_task(session, case.calls, owner)));
    }
    if case.rare {
        tasks.push(thread::spawn(move || send_msg(owner, Job::Close)));
    }
    let mut calls = vec![0; case.sessions];
    for _ in 0..case.jobs() {
        match recv_msg_block() {
            Job::Call { session, caller } => {
                calls[session] += 1;
                send_msg(caller, calls[session]);
            }
            Job::Close if case.is_the_bug(calls[VICTIM]) => search.found(),
            Job::Close | Job::Settle => {}
        }
    }
    for task in tasks {
        task.join().expect("no task panics");
    }
}

fn session_task(session: usize, calls: usize, owner: ThreadId) {
    for nth in 1..=calls {
        send_msg(owner, Job::Call { session, caller: thread::current_id() });
        let answer: usize = recv_msg_block();
        assert_eq!(answer, nth);
    }
    send_msg(owner, Job::Settle);
}
