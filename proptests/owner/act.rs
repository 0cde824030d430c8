//! What is done to the owner.

use impasse::{Shutdown, WaitOnOwner};
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

use super::model::Model;

#[derive(Clone, Debug)]
pub enum Act {
    /// A job begins that goes on until the release. Whatever waits for the owner is left out meanwhile.
    Hold(u32),
    Release,
    /// A call that logs a number, then calls this many levels deep, each logging the next one; the last may panic.
    Call {
        number: u32,
        depth: u32,
        panics: bool,
    },
    /// With enough time, unless the owner is held: then with none.
    CallTimeout(u32),
    /// Awaited at once, unless the owner is held: then kept for the release, or dropped.
    CallAsync {
        number: u32,
        drops: bool,
    },
    DropAnswers,
    /// A call from a thread that a job starts.
    FromAThread(u32),
    /// Jobs of the owner itself may not wait for the owner to be idle.
    WaitIdleOnOwner,
    Post(u32, Does),
    PostWithin {
        number: u32,
        expires: bool,
    },
    /// On a thread of its own if it has to wait.
    PostWait(u32),
    Close,
    CloseNow,
    Shutdown(Shutdown),
    /// A run that waits to be told a number; its result is asked for, or settled on the owner.
    Start {
        number: u32,
        settles: bool,
    },
    /// It is told the number, and calls back with it.
    Finish(u32),
    Cancel,
    /// A run that is told the number in time, or never.
    RunTimeout {
        number: u32,
        in_time: bool,
    },
    RunOnOwner(u32),
}

/// What a post does besides logging its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    Nothing,
    /// It posts a job that logs the next number, if there is room.
    Posts,
    Panics,
}

pub struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = Act;

    fn init_state() -> BoxedStrategy<Model> {
        let policy =
            prop_oneof![Just(WaitOnOwner::Detect), Just(WaitOnOwner::Reject), Just(WaitOnOwner::Serve)];
        let model = |(policy, capacity, replaces)| Model::new(policy, capacity, replaces);
        (policy, prop::option::of(1..4usize), any::<bool>()).prop_map(model).boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Act> {
        let number = || 0..1_000_000u32;
        let flag = any::<bool>;
        let does = prop_oneof![Just(Does::Nothing), Just(Does::Posts), Just(Does::Panics)];
        let how = prop_oneof![Just(Shutdown::Drain), Just(Shutdown::Now)];
        let ends =
            prop_oneof![2 => Just(Act::Close), 2 => Just(Act::CloseNow), 1 => how.prop_map(Act::Shutdown)];
        let queues = prop_oneof![
            number().prop_map(Act::CallTimeout),
            (number(), flag()).prop_map(|(number, drops)| Act::CallAsync { number, drops }),
            Just(Act::DropAnswers),
            (number(), does).prop_map(|(number, does)| Act::Post(number, does)),
            (number(), flag()).prop_map(|(number, expires)| Act::PostWithin { number, expires }),
            number().prop_map(Act::PostWait),
        ];
        let waits = prop_oneof![
            3 => (number(), 0..4u32, flag())
                .prop_map(|(number, depth, panics)| Act::Call { number, depth, panics }),
            1 => number().prop_map(Act::FromAThread),
            1 => Just(Act::WaitIdleOnOwner),
            1 => number().prop_map(Act::RunOnOwner),
            1 => number().prop_map(Act::Finish),
        ];
        let runs = prop_oneof![
            3 => (number(), flag()).prop_map(|(number, settles)| Act::Start { number, settles }),
            2 => Just(Act::Cancel),
            1 => (number(), flag()).prop_map(|(number, in_time)| Act::RunTimeout { number, in_time }),
        ];
        match model.is_held() {
            true => prop_oneof![3 => Just(Act::Release), 12 => queues, 3 => runs, 1 => ends].boxed(),
            false => prop_oneof![
                5 => number().prop_map(Act::Hold), 4 => queues, 6 => waits, 4 => runs, 1 => ends
            ]
            .boxed(),
        }
    }

    /// While the owner is held, what waits for it would wait for ever; kept up while a failure is shrunk.
    fn preconditions(model: &Model, act: &Act) -> bool {
        match act {
            Act::Hold(_)
            | Act::Call { .. }
            | Act::FromAThread(_)
            | Act::WaitIdleOnOwner
            | Act::RunOnOwner(_)
            | Act::Finish(_)
            | Act::Shutdown(_) => !model.is_held(),
            Act::Release => model.is_held(),
            Act::RunTimeout { in_time, .. } => !(*in_time && model.is_held()),
            _ => true,
        }
    }

    fn apply(mut model: Model, act: &Act) -> Model {
        model.apply(act);
        model
    }
}
