//! shuttle: every schedule, or random ones.

use std::sync::Arc;

use ::shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use ::shuttle::{Config, Runner};

use super::channels::protocol_over;
use super::search::Outcome;
use super::subjects::{BUDGET, Subject};

protocol_over!(shuttle);

pub const SUBJECTS: &[Subject] = &[
    Subject::exhaustive("shuttle-dfs", |case, _, search| {
        run(DfsScheduler::new(None, false), case, search);
        Outcome::Exhausted
    }),
    Subject::drawing("shuttle-random", |case, seed, search| {
        run(RandomScheduler::new_from_seed(seed, BUDGET), case, search);
        Outcome::Spent
    }),
    // Probabilistic concurrency testing (Burckhardt et al. 2010), for bugs of depth 3.
    Subject::drawing("shuttle-pct3", |case, seed, search| {
        run(PctScheduler::new_from_seed(seed, 3, BUDGET), case, search);
        Outcome::Spent
    }),
];

fn run(scheduler: impl Scheduler + 'static, case: Case, search: Arc<Search>) {
    Runner::new(scheduler, Config::new()).run(move || protocol(case, &search));
}
