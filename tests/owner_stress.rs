//! Jobs sent in every way there is while the owner is shut down at any moment: none is lost, on real threads.
#![cfg(not(loom))]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::{until, within_a_minute};
use impasse::{CallError, Handle, Owner, PostError, Shutdown};

/// A generator of the numbers that a seed stands for.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What came of the jobs of one round.
#[derive(Default)]
struct Counts {
    /// Jobs that ran.
    ran: AtomicUsize,
    /// Posts that were accepted, and those that the hook was told of.
    posted: AtomicUsize,
    told: AtomicUsize,
    /// Calls that were answered.
    answered: AtomicUsize,
    /// Jobs that were dropped, run or not.
    dropped: AtomicUsize,
    /// Jobs that were made.
    made: AtomicUsize,
}

/// What a job captures: it counts itself.
struct Job(Arc<Counts>);

impl Job {
    fn run(&self) {
        self.0.ran.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

/// Sends jobs in every way there is until the owner is closed.
fn send_all(vm: &Handle<()>, counts: &Arc<Counts>, mut numbers: Numbers) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    loop {
        counts.made.fetch_add(1, Ordering::SeqCst);
        let job = Job(counts.clone());
        let job = move |_: &()| job.run();
        let posted = match numbers.below(6) {
            0 => vm.post("post", job),
            1 => vm.post_within("within", Duration::from_micros(numbers.below(100)), job),
            2 => vm.post_wait("wait", job),
            kind => {
                let called = match kind {
                    3 => vm.call("call", job),
                    4 => vm.call_timeout("timed", Duration::from_secs(60), job),
                    _ => runtime.block_on(vm.call_async("async", job)),
                };
                match called {
                    Ok(()) => counts.answered.fetch_add(1, Ordering::SeqCst),
                    Err(CallError::Closed(_)) => return,
                    Err(other) => panic!("{other}"),
                };
                continue;
            }
        };
        match posted {
            Ok(()) => _ = counts.posted.fetch_add(1, Ordering::SeqCst),
            Err(PostError::Full { .. }) => thread::yield_now(),
            Err(PostError::Closed(_)) => return,
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn every_accepted_job_runs_once_or_somebody_is_told() {
    within_a_minute(|| {
        for seed in 0..300 {
            let mut numbers = Numbers(seed);
            let counts = Arc::new(Counts::default());
            let told = counts.clone();
            let mut builder =
                Owner::builder("vm").on_unrun(move |_, _| _ = told.told.fetch_add(1, Ordering::SeqCst));
            if numbers.below(2) == 0 {
                builder = builder.capacity(1 + numbers.below(4) as usize);
            }
            let owner = builder.spawn(|| ()).unwrap();
            let senders: Vec<_> = (0..3)
                .map(|sender| {
                    let (vm, counts) = (owner.handle(), counts.clone());
                    thread::spawn(move || send_all(&vm, &counts, Numbers(seed * 10 + sender)))
                })
                .collect();
            let enough = numbers.below(100) as usize;
            until(|| counts.ran.load(Ordering::SeqCst) >= enough);
            owner.shutdown(if numbers.below(2) == 0 { Shutdown::Now } else { Shutdown::Drain }).unwrap();
            for sender in senders {
                sender.join().unwrap();
            }
            drop(owner);
            let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
            assert_eq!(count(&counts.made), count(&counts.dropped), "seed {seed}: each job is dropped once");
            assert_eq!(
                count(&counts.ran),
                count(&counts.answered) + count(&counts.posted) - count(&counts.told),
                "seed {seed}: {} posts, {} told, {} calls",
                count(&counts.posted),
                count(&counts.told),
                count(&counts.answered)
            );
        }
    });
}
