//! The acceptance test of the search: random programs, enumerated naively.
//!
//! | file | idea |
//! | --- | --- |
//! | `programs.rs` | random programs over queues, locks, tries and data, and how one is run |
//! | `systems.rs` | random programs over owners, sessions, threads and atomics |
//! | `waits.rs` | random programs over everything else that tasks wait with |
//! | `naive.rs` | every interleaving, one after the other, and classes by a table of its own |
//! | `barging.rs` | the same programs by an interpreter that knows nothing of arrivals |
//! | `acceptance.rs` | the comparison, and the mutants that it must catch |

mod acceptance;
mod barging;
mod naive;
mod programs;
mod systems;
mod waits;
