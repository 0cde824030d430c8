//! How long it takes to find that a wait completes a deadlock, by how many tasks are part of it.
//!
//! All tasks but one wait. The last asks again and again for what would complete it and is refused each time, so what is
//! measured is one look at the same graph.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use impasse::sync::channel::{RecvError, unbounded};
use impasse::sync::{End as _, Mutex};
use impasse::{WaitError, waiting_tasks};

/// How often it is asked.
const TIMES: usize = 301;

/// Task `n` holds lock `n` and waits for the next one's, the last for the first one's.
pub fn cycle(tasks: usize) -> Duration {
    let locks: Vec<_> = (0..tasks).map(|_| Mutex::new(())).collect();
    let all_hold = Barrier::new(tasks);
    thread::scope(|scope| {
        let held = locks[tasks - 1].lock();
        for pair in locks.windows(2) {
            let all_hold = &all_hold;
            scope.spawn(move || {
                let _mine = pair[0].lock();
                all_hold.wait();
                drop(pair[1].checked_lock());
            });
        }
        all_hold.wait();
        wait_for(tasks - 1);
        let median = median(|| {
            let refused = locks[0].checked_lock();
            assert!(matches!(refused, Err(WaitError::Deadlock(_))), "all the others wait");
        });
        drop(held);
        median
    })
}

/// Each task waits for a channel to which all of them could send.
pub fn knot(tasks: usize) -> Duration {
    let (sender, receiver) = unbounded::<()>();
    thread::scope(|scope| {
        for _ in 1..tasks {
            let (sender, receiver) = (sender.clone(), receiver.clone());
            scope.spawn(move || {
                let mine = sender.hold();
                receiver.recv().expect("the one that measures sends");
                drop(mine);
            });
        }
        let mine = sender.hold();
        wait_for(tasks - 1);
        let median =
            median(|| assert!(matches!(receiver.recv(), Err(RecvError::Deadlock(_))), "nobody sends"));
        (1..tasks).for_each(|_| mine.send(()).expect("somebody receives it"));
        median
    })
}

/// Until so many tasks wait.
fn wait_for(tasks: usize) {
    while waiting_tasks().len() < tasks {
        thread::sleep(Duration::from_millis(1));
    }
}

fn median(ask: impl Fn()) -> Duration {
    let once = || {
        let began = Instant::now();
        ask();
        began.elapsed()
    };
    let mut all: Vec<_> = std::iter::repeat_with(once).take(TIMES).collect();
    all.sort();
    all[TIMES / 2]
}
