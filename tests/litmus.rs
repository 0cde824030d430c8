//! The fence of the door on the processor itself, which no model checker runs on.
//!
//! Two tasks each publish a wait and then look whether the other waits. Without a fence in between a processor may look
//! first, both find nobody, and the deadlock is nobody's.
#![cfg(not(loom))]

mod common;

use std::hint::spin_loop;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::thread;

use common::within_a_minute;
use impasse::sync::{End as _, Promise, PromiseError, promise};

/// Where two threads meet again and again, within nanoseconds.
#[derive(Default)]
struct Meeting(AtomicUsize);

impl Meeting {
    /// For the how manieth time, from 0.
    fn meet(&self, round: usize) {
        self.0.fetch_add(1, Ordering::SeqCst);
        let mut turns = 0_u32;
        while self.0.load(Ordering::SeqCst) < 2 * (round + 1) {
            turns += 1;
            if turns.is_multiple_of(1_000) { thread::yield_now() } else { spin_loop() }
        }
    }
}

/// In how many rounds neither of two threads saw the other's store.
fn both_missed(rounds: usize, between: fn()) -> usize {
    let (meeting, stored, seen) =
        (Meeting::default(), [const { AtomicBool::new(false) }; 2], AtomicUsize::new(0));
    let missed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for me in 0..2 {
            let (meeting, stored, seen, missed) = (&meeting, &stored, &seen, &missed);
            scope.spawn(move || {
                for round in 0..rounds {
                    meeting.meet(3 * round);
                    stored[me].store(true, Ordering::Release);
                    between();
                    let found = stored[1 - me].load(Ordering::Acquire);
                    seen.fetch_add(usize::from(found), Ordering::SeqCst);
                    meeting.meet(3 * round + 1);
                    stored[me].store(false, Ordering::SeqCst);
                    if me == 0 && seen.swap(0, Ordering::SeqCst) == 0 {
                        missed.fetch_add(1, Ordering::SeqCst);
                    }
                    meeting.meet(3 * round + 2);
                }
            });
        }
    });
    missed.into_inner()
}

/// The tooth: this machine does what the fence is against.
#[test]
fn without_a_fence_both_miss_and_with_it_neither() {
    assert_eq!(both_missed(1_000_000, || fence(Ordering::SeqCst)), 0);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let missed = (0..20).map(|_| both_missed(500_000, || {})).find(|missed| *missed > 0);
    println!("without a fence: both missed in {} of 500,000 rounds", missed.unwrap_or(0));
    assert!(missed.is_some() || processors < 2, "nothing was reordered, so nothing is shown");
}

/// Two tasks that hold a promise each, and wait for the other's from the same moment on. With the fence taken out of the
/// door this hangs.
#[test]
fn of_two_that_close_a_cycle_at_one_moment_one_is_told() {
    within_a_minute(|| {
        const ROUNDS: usize = 100_000;
        let (meeting, offered) = (Meeting::default(), [const { Mutex::new(None::<Promise<()>>) }; 2]);
        let told = AtomicUsize::new(0);
        thread::scope(|scope| {
            for me in 0..2 {
                let (meeting, offered, told) = (&meeting, &offered, &told);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let (mine, resolver) = promise();
                        *offered[me].lock().unwrap() = Some(mine);
                        let held = resolver.hold();
                        meeting.meet(2 * round);
                        let theirs = offered[1 - me].lock().unwrap().take().unwrap();
                        meeting.meet(2 * round + 1);
                        match theirs.wait() {
                            Err(PromiseError::Deadlock(_)) => _ = told.fetch_add(1, Ordering::SeqCst),
                            Err(PromiseError::Abandoned(_)) => {}
                            other => panic!("nobody keeps a promise: {other:?}"),
                        }
                        drop(held);
                    }
                });
            }
        });
        assert_eq!(told.into_inner(), ROUNDS);
    });
}
