//! The word by which a task sleeps, taken by one and left by others.

use std::sync::Arc;

use impasse::checking::Bed;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::runner::{Search, check, twin};

/// Whoever sleeps is woken, sees what was done before, and may sleep again.
#[test]
fn a_token_that_is_left_ends_a_sleep() {
    check("a_token_that_is_left_ends_a_sleep", Search::Exhaustive, || {
        let [here, there] = [(); 2].map(|()| Arc::new(Bed::default()));
        let done = Arc::new(AtomicUsize::new(0));
        let other = {
            let (here, there, done) = (here.clone(), there.clone(), done.clone());
            thread::spawn(move || {
                for n in 1..=2 {
                    done.store(n, Ordering::Relaxed);
                    here.unpark();
                    there.park();
                }
            })
        };
        for n in 1..=2 {
            here.park();
            assert_eq!(done.load(Ordering::Relaxed), n, "what was done before is not seen");
            there.unpark();
        }
        other.join().unwrap();
    });
}

/// Two that leave a token each may leave one, but never none.
#[test]
fn two_tokens_end_a_sleep() {
    check("two_tokens_end_a_sleep", Search::Exhaustive, || {
        let bed = Arc::new(Bed::default());
        let others: Vec<_> = (0..2)
            .map(|_| {
                let bed = bed.clone();
                thread::spawn(move || bed.unpark())
            })
            .collect();
        bed.park();
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// Whoever gives up has taken the token, or it is there the next time.
#[test]
fn a_token_is_not_lost_when_time_is_up() {
    check("a_token_is_not_lost_when_time_is_up", Search::Exhaustive, || {
        let bed = Arc::new(Bed::default());
        let other = {
            let bed = bed.clone();
            thread::spawn(move || bed.unpark())
        };
        if !bed.park_briefly() {
            bed.park();
        }
        other.join().unwrap();
    });
}

#[test]
fn a_token_that_is_read_relaxed_brings_nothing_along() {
    twin("relaxed-token", "parking::a_token_that_is_left_ends_a_sleep", "what was done before is not seen");
}

#[test]
fn a_token_that_is_left_after_a_look_wakes_nobody() {
    twin("wake-by-look", "parking::a_token_that_is_left_ends_a_sleep", "deadlock;");
}
