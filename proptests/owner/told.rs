//! What callers, senders and starters are told.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use impasse::{Answer, CallError, PostError, RunError};

/// What somebody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Done,
    Answer(u32),
    Panicked,
    Closed,
    Full,
    TimedOut,
    Deadlock,
    /// The policy is to refuse.
    Rejected,
    /// The session has a run.
    Active,
    Cancelled,
}

/// What a job of a settlement logs: the number of its run, marked with how that ended.
pub const fn settled(number: u32, told: Told) -> u32 {
    number
        + match told {
            Told::Answer(_) => 1_000_000,
            Told::Cancelled => 2_000_000,
            Told::Closed => 3_000_000,
            _ => 4_000_000,
        }
}

pub fn called(answer: Result<u32, CallError>) -> Told {
    match answer {
        Ok(number) => Told::Answer(number),
        Err(CallError::Panicked(_)) => Told::Panicked,
        Err(CallError::Closed(_)) => Told::Closed,
        Err(CallError::TimedOut { .. }) => Told::TimedOut,
        Err(error) => panic!("{error:?}"),
    }
}

pub fn posted(posted: Result<(), PostError>) -> Told {
    match posted {
        Ok(()) => Told::Done,
        Err(PostError::Closed(_)) => Told::Closed,
        Err(PostError::Full { .. }) => Told::Full,
        Err(error) => panic!("{error:?}"),
    }
}

pub fn ended(result: Result<u32, RunError>) -> Told {
    match result {
        Ok(number) => Told::Answer(number),
        Err(RunError::Closed(_)) => Told::Closed,
        Err(RunError::Cancelled(_)) => Told::Cancelled,
        Err(RunError::TimedOut { .. }) => Told::TimedOut,
        Err(RunError::Active { .. }) => Told::Active,
        Err(RunError::WaitOnOwner { .. }) => Told::Rejected,
        Err(RunError::Deadlock(_)) => Told::Deadlock,
        Err(error) => panic!("{error:?}"),
    }
}

pub fn poll(answer: &mut Answer<u32>) -> Poll<Result<u32, CallError>> {
    pin!(answer).poll(&mut Context::from_waker(Waker::noop()))
}

pub fn arrives(mut answer: Answer<u32>) -> Told {
    loop {
        match poll(&mut answer) {
            Poll::Ready(answer) => return called(answer),
            Poll::Pending => thread::yield_now(),
        }
    }
}
