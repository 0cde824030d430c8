//! loom: every interleaving that its reduction leaves.

use std::sync::Arc;

use ::loom::model::Builder;

use super::channels::protocol_over;
use super::search::Outcome;
use super::subjects::Subject;

protocol_over!(loom);

pub const SUBJECTS: &[Subject] = &[Subject::exhaustive("loom", |case, _, search| explore(case, search))];

fn explore(case: Case, search: Arc<Search>) -> Outcome {
    Builder::new().check(move || protocol(case, &search));
    Outcome::Exhausted
}
