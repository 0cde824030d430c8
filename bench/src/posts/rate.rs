//! Posts a second, from the first post to the end of the last job.

use std::io;
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::owners::{Capture, Driven, Subject, rounds};
use crate::rows::Metrics;

/// Of all producers together, in one round.
pub const POSTS: u64 = 200_000;

/// Before a round is timed, so that queues have their room and the heap its pages.
const WARM_UP: u64 = POSTS / 10;

/// All rounds of a case, in this process.
pub fn measure(producers: usize, capture: Capture, subjects: &[Subject], rounds: usize) -> io::Result<()> {
    let owners = subjects.iter().map(|subject| (*subject, (subject.spawn)(None))).collect();
    rounds::interleaved(rounds, owners, |owner| {
        run(owner, producers, capture, WARM_UP);
        let elapsed = run(owner, producers, capture, POSTS);
        Metrics::from([("per_second".to_owned(), POSTS as f64 / elapsed.as_secs_f64())])
    })
}

/// What it takes the owner to get all posts and run them.
fn run(owner: &dyn Driven, producers: usize, capture: Capture, posts: u64) -> Duration {
    let start = Barrier::new(producers);
    let (ended, ends) = mpsc::channel();
    let began = thread::scope(|scope| {
        let produce = || {
            let ended = ended.clone();
            start.wait();
            let began = Instant::now();
            owner.post_captures(capture, posts / producers as u64);
            // The queue is in order, so all of this producer's posts have run before that.
            owner.post_job(Box::new(move || ended.send(Instant::now()).expect("somebody listens")));
            began
        };
        let producers: Vec<_> = (0..producers).map(|_| scope.spawn(produce)).collect();
        let began = producers.into_iter().map(|producer| producer.join().expect("no post fails"));
        began.min().expect("there is a producer")
    });
    drop(ended);
    ends.iter().max().expect("there is a producer") - began
}
