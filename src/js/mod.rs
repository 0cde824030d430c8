//! A QuickJS virtual machine as the state of an owner, and the `geppetto` module for scripts.
//!
//! | file | idea |
//! | --- | --- |
//! | `vm.rs` | the machine: entered from jobs, also from a job inside a job |
//! | `functions.rs` | JavaScript functions that other threads hold by a number |
//! | `exception.rs` | exceptions out of the VM and errors into it |
//! | `site.rs` | lines of scripts as the lines of reports |
//! | `progress.rs` | what a script still owes before it is done |
//! | `host.rs` | what the module asks of the host: sessions, runs, settlement |
//! | `geppetto.js` | the module itself |
//! | `script.rs` | a script from its start to the settling of its last run |
//!
//! Uses the public API of the rooms below and nothing else.

mod exception;
mod functions;
mod host;
mod progress;
mod script;
mod site;
mod vm;

pub use exception::Exception;
pub use script::{Console, Script, spawn_vm};
pub use vm::Vm;
