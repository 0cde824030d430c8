//! The owner of this crate. Its state is shared by the jobs of one stack, so it is a cell.

use std::cell::Cell;
use std::mem;

use impasse::Handle;

use super::owner::Owner;
use crate::cpu::{self, Cpu};

pub struct Ours(Handle<Cell<u64>>);

impl Owner for Ours {
    fn spawn(cpu: Option<Cpu>) -> Self {
        let owner = impasse::Owner::builder("owner").spawn(move || {
            if let Some(cpu) = cpu {
                cpu::pin(cpu).expect("the processor was there a moment ago");
            }
            Cell::new(0)
        });
        let owner = owner.expect("a thread");
        let handle = owner.handle();
        // It would shut down. Like the peers' it ends with the process.
        mem::forget(owner);
        Self(handle)
    }

    fn call(&self, job: impl FnOnce(&mut u64) -> u64 + Send + 'static) -> u64 {
        self.0.call("call", move |state| within(state, job)).expect("the owner is open")
    }

    fn post(&self, job: impl FnOnce(&mut u64) + Send + 'static) {
        self.0.post("post", move |state| within(state, job)).expect("the owner is open");
    }
}

fn within<R>(state: &Cell<u64>, job: impl FnOnce(&mut u64) -> R) -> R {
    let mut number = state.get();
    let result = job(&mut number);
    state.set(number);
    result
}
