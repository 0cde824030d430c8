//! The whole of an owner and a session against a reference model: what is done is random, and after each act the
//! owner must say, have done and have queued what the model says.
//!
//! | file | idea |
//! | --- | --- |
//! | `act.rs` | what is done |
//! | `model.rs` | a queue, a log, and at most one run: what must become of it |
//! | `real.rs` | the same acts on a real owner |
//! | `told.rs` | what callers, senders and starters are told |
//!
//! What makes it exact is a job that goes on until it is told to end: while it does, nothing else runs, so that every
//! queue, refusal and deadline is known.

mod act;
mod model;
mod real;
mod told;

use proptest::test_runner::Config;
use proptest_state_machine::prop_state_machine;
use real::Real;

prop_state_machine! {
    // What is wrong for good is waited for, in each of the smaller cases that are tried then.
    #![proptest_config(Config { max_shrink_time: 30_000, ..super::config() })]

    /// Order, answers, refusals, what the hook is told and how it ends are those of the model.
    #[test]
    fn the_owner_is_its_model(sequential 1..40 => Real);
}
