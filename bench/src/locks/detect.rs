//! From the wait that completes a deadlock to the report.

use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use impasse::{CallError, Owner, RunError, Session, WaitOnOwner};

use crate::rows::Metrics;

/// How often where the program survives it.
const TIMES: usize = 301;

/// When the wait began that completes the deadlock.
static BEGAN: Mutex<Option<Instant>> = Mutex::new(None);

/// It begins now. Of two that do at once the later counts.
pub fn begins() {
    *BEGAN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// How long ago that was.
pub fn told_after() -> Duration {
    BEGAN.lock().unwrap_or_else(PoisonError::into_inner).map(|began| began.elapsed()).unwrap_or_default()
}

pub fn latency(mut all: Vec<Duration>) -> Metrics {
    all.sort();
    let median = all[all.len() / 2];
    Metrics::from([("median_ns".to_owned(), median.as_nanos() as f64), ("finished".to_owned(), 1.0)])
}

/// Two threads that hold a lock each and want the other's; each part says how it takes both.
pub fn crossed<L: Send + Sync + 'static>(locks: [L; 2], both: fn(&L, &L, &dyn Fn())) {
    let locks = Arc::new(locks);
    let met = Arc::new(Barrier::new(2));
    let threads = [(0, 1), (1, 0)].map(|(first, second)| {
        let (locks, met) = (locks.clone(), met.clone());
        thread::spawn(move || {
            both(&locks[first], &locks[second], &|| {
                met.wait();
                begins();
            });
        })
    });
    for thread in threads {
        // Some peers panic with the report.
        let _ = thread.join();
    }
}

/// Ours returns an error, again and again.
pub fn of_impasse() -> Metrics {
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let told = latencies.clone();
    impasse::on_deadlock(move |_| told.lock().unwrap_or_else(PoisonError::into_inner).push(told_after()));
    for _ in 0..TIMES {
        crossed([(); 2].map(impasse::sync::Mutex::new), |first, second, met| {
            let _first = first.checked_lock();
            met();
            drop(second.checked_lock());
        });
    }
    latency(std::mem::take(&mut latencies.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// A callback to an owner that waits for its run.
pub fn of_the_seed() -> Metrics {
    let owner = Owner::builder("vm").wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).expect("a thread");
    let mut latencies = Vec::new();
    for _ in 0..TIMES {
        let session = Session::builder("inference", &owner.handle()).engine(|run, ()| {
            let began = Instant::now();
            let refused = run.call("middleware", |()| ());
            let latency = began.elapsed();
            match refused {
                Err(CallError::Deadlock(_)) => Ok(latency),
                Err(other) => Err(other),
                // It came before the owner waited.
                Ok(()) => Ok(Duration::ZERO),
            }
        });
        let ran = owner.handle().call("eval", move |()| session.run(())).expect("the job ends");
        match ran {
            Ok(latency) => latencies.push(latency),
            Err(RunError::Deadlock(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    latency(latencies.into_iter().filter(|latency| !latency.is_zero()).collect())
}
