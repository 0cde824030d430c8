//! Bytes of the heap, for a post that is queued and for an owner that is idle.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::heap;
use crate::owners::{Capture, Driven, Subject};
use crate::rows::Metrics;

/// How many posts stand in the queue.
pub const QUEUED: u64 = 100_000;

/// How many owners there are.
pub const IDLE: usize = 50;

/// What a post adds to the heap while the owner is kept in a job.
pub fn of_queued_posts(subject: Subject, capture: Capture) -> Metrics {
    heap::count();
    let owner = (subject.spawn)(None);
    settle(&*owner);
    let (began, has_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    owner.post_job(Box::new(move || {
        began.send(()).expect("somebody listens");
        // It is released by an end without a word.
        let _ = released.recv();
    }));
    has_begun.recv().expect("the owner runs the job");
    let before = heap::live();
    owner.post_captures(capture, QUEUED);
    let bytes = heap::live() - before;
    drop(release);
    Metrics::from([("bytes_per_post".to_owned(), bytes as f64 / QUEUED as f64)])
}

/// What an owner adds to the heap. Each has run one call.
pub fn of_idle_owners(subject: Subject) -> Metrics {
    heap::count();
    // The first one brings into being what all owners share.
    let first = (subject.spawn)(None);
    settle(&*first);
    let mut owners = Vec::with_capacity(IDLE);
    let before = heap::live();
    owners.extend((0..IDLE).map(|_| (subject.spawn)(None)));
    owners.iter().for_each(|owner| settle(&**owner));
    let bytes = heap::live() - before;
    Metrics::from([("idle_bytes".to_owned(), bytes as f64 / IDLE as f64)])
}

/// One round trip, so that the owner's thread is there with whatever it and the caller keep, and then time for
/// the owner to drop what was the call's and to fall asleep.
fn settle(owner: &dyn Driven) {
    owner.add(1);
    thread::sleep(Duration::from_millis(2));
}
