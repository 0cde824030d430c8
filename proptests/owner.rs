//! The owner against a reference model: calls, nested calls, posts, panics, shutdown.

use std::cell::RefCell;
use std::sync::mpsc;

use impasse::{CallError, Handle, Owner, Shutdown, WaitOnOwner};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

type Log = Vec<u32>;

/// What is done to the owner.
#[derive(Clone, Debug)]
enum Act {
    /// A call that logs a number, then calls this many levels deep, each logging the next one.
    Call {
        number: u32,
        depth: u32,
    },
    /// A post, whose job posts another one if asked to.
    Post {
        number: u32,
        posts: bool,
    },
    /// A call from another thread that is started by a job.
    FromAThread {
        number: u32,
    },
    /// A call that logs and panics.
    Panic {
        number: u32,
    },
    /// A post that logs and panics.
    PostPanic {
        number: u32,
    },
    Close,
    Shutdown,
}

/// The model: a log, and whether it is still written.
#[derive(Clone, Debug, Default)]
struct Model {
    log: Log,
    closed: bool,
}

impl Model {
    /// What the act adds to the log of an open owner, in order.
    fn entries(act: &Act) -> Log {
        match *act {
            Act::Call { number, depth } => (0..=depth).map(|level| number + level).collect(),
            Act::Post { number, posts: true } => vec![number, number + 1],
            Act::Post { number, posts: false }
            | Act::FromAThread { number }
            | Act::Panic { number }
            | Act::PostPanic { number } => vec![number],
            Act::Close | Act::Shutdown => Vec::new(),
        }
    }
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = Act;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::default()).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Act> {
        let number = 0..1_000_000u32;
        prop_oneof![
            8 => (number.clone(), 0..4u32).prop_map(|(number, depth)| Act::Call { number, depth }),
            8 => (number.clone(), any::<bool>()).prop_map(|(number, posts)| Act::Post { number, posts }),
            3 => number.clone().prop_map(|number| Act::FromAThread { number }),
            2 => number.clone().prop_map(|number| Act::Panic { number }),
            2 => number.prop_map(|number| Act::PostPanic { number }),
            1 => Just(Act::Close),
            1 => Just(Act::Shutdown),
        ]
        .boxed()
    }

    fn apply(mut model: Model, act: &Act) -> Model {
        if !model.closed {
            model.log.extend(Model::entries(act));
        }
        model.closed |= matches!(act, Act::Close | Act::Shutdown);
        model
    }
}

/// The owner under test. Its log comes back when the state is dropped, after everything has run.
struct Real {
    owner: Option<Owner<State>>,
    vm: Handle<State>,
    log: mpsc::Receiver<Log>,
}

struct State(RefCell<Log>, mpsc::Sender<Log>);

impl State {
    fn push(&self, number: u32) {
        self.0.borrow_mut().push(number);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.1.send(self.0.take()).expect("the test waits for the log");
    }
}

/// Calls down to the given depth, each level from inside the one above.
fn descend(vm: Handle<State>, state: &State, number: u32, depth: u32) -> u32 {
    state.push(number);
    if depth == 0 {
        return number;
    }
    let deeper = vm.clone();
    vm.call("deeper", move |state| descend(deeper, state, number + 1, depth - 1)).expect("an inline call")
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(_: &Model) -> Self {
        let (log, logged) = mpsc::channel();
        let owner = Owner::builder("vm").wait_on_owner(WaitOnOwner::Detect);
        let owner = owner.spawn(move || State(RefCell::default(), log)).unwrap();
        Self { vm: owner.handle(), owner: Some(owner), log: logged }
    }

    fn apply(mut real: Self, model: &Model, act: Act) -> Self {
        // The model has taken the step already; a close is an owner's last act, whoever asks again.
        let vm = real.vm.clone();
        let open = !vm.is_closed();
        match act {
            Act::Call { number, depth } => {
                let inner = vm.clone();
                let answer = vm.call("call", move |state| descend(inner, state, number, depth));
                check(open, answer, number + depth);
            }
            Act::Post { number, posts } => {
                let inner = vm.clone();
                // The second post is accepted before the first has run, or a close could come between.
                let (accepted, is_accepted) = mpsc::channel();
                let posted = vm.post("post", move |state| {
                    state.push(number);
                    if posts {
                        inner.post("post of a post", move |state| state.push(number + 1)).unwrap();
                    }
                    accepted.send(()).unwrap();
                });
                assert_eq!(posted.is_ok(), open);
                if open {
                    is_accepted.recv().expect("an accepted post runs");
                }
            }
            Act::FromAThread { number } => {
                let inner = vm.clone();
                let started = vm.call("start a thread", move |_| {
                    std::thread::spawn(move || inner.call("from a thread", move |state| state.push(number)))
                });
                assert_eq!(started.is_ok(), open);
                if let Ok(thread) = started {
                    assert_eq!(thread.join().unwrap(), Ok(()));
                }
            }
            Act::Panic { number } => {
                let answer = vm.call("panic", move |state| -> () {
                    state.push(number);
                    std::panic::resume_unwind(Box::new("broke"));
                });
                match answer {
                    Err(CallError::Panicked(panicked)) if open => assert_eq!(panicked.message, "broke"),
                    Err(CallError::Closed(_)) if !open => {}
                    other => panic!("{other:?}"),
                }
            }
            Act::PostPanic { number } => {
                let posted = vm.post("panic", move |state| {
                    state.push(number);
                    std::panic::resume_unwind(Box::new("broke"));
                });
                assert_eq!(posted.is_ok(), open);
            }
            Act::Close => vm.close(),
            Act::Shutdown => {
                if let Some(owner) = real.owner.take() {
                    assert_eq!(owner.shutdown(Shutdown::Drain), Ok(()));
                }
            }
        }
        assert_eq!(vm.is_closed(), model.closed);
        real
    }

    fn teardown(real: Self, model: Model) {
        drop(real.owner);
        assert_eq!(real.log.recv().expect("the state is dropped"), model.log);
    }
}

/// An open owner answers, a closed one refuses.
fn check(open: bool, answer: Result<u32, CallError>, expected: u32) {
    match answer {
        Ok(answer) if open => assert_eq!(answer, expected),
        Err(CallError::Closed(_)) if !open => {}
        other => panic!("{other:?}"),
    }
}

prop_state_machine! {
    #![proptest_config(super::config())]

    /// Order, results, panics and refusals are those of a log that is written one entry after the other.
    #[test]
    fn the_owner_is_a_log(sequential 1..40 => Real);
}
