//! Calls from inside a job of the same owner, which run at once. They are so short that they are timed by the
//! thousand.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use impasse::{Handle, Owner};

use super::latency;
use crate::child;
use crate::rows::Metrics;
use crate::table::OURS;

const CALLS_PER_TIME: u32 = 1_000;
const TIMES: usize = 300;

/// All rounds, in this process.
pub fn measure(rounds: usize) -> Result<(), Box<dyn Error>> {
    let owner = Owner::builder("owner").spawn(|| Cell::new(0_u64))?;
    let vm = owner.handle();
    let mut measured = Vec::<Metrics>::new();
    for _ in 0..rounds {
        let inner = vm.clone();
        let times = vm.call("outer", move |_| {
            // The first tenth is warm-up.
            let mut times: Vec<_> = (0..TIMES + TIMES / 10).map(|_| nanoseconds(&inner)).collect();
            times.split_off(TIMES / 10)
        })?;
        measured.push(latency::metrics(times));
        child::report(&BTreeMap::from([(OURS, &measured)]))?;
    }
    Ok(())
}

/// What one call takes, on the average of many.
fn nanoseconds(vm: &Handle<Cell<u64>>) -> f64 {
    let began = Instant::now();
    for _ in 0..CALLS_PER_TIME {
        let sum = vm.call("inner", |state| {
            state.set(state.get() + black_box(1));
            state.get()
        });
        black_box(sum.expect("the owner is open"));
    }
    began.elapsed().as_nanos() as f64 / f64::from(CALLS_PER_TIME)
}
