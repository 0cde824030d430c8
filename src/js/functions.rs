//! JavaScript functions that other threads hold by a number.
//!
//! A function of the VM may be touched on the owner's thread only, and must be gone before the runtime is. So
//! they stand in a table of the VM, and a [`JsFn`] is a number that can go anywhere; dropped, it posts the
//! release. A script's function that holds, through the table, what holds its own number is freed with the VM.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rquickjs::{Ctx, Function, Persistent};

use super::vm::Vm;
use crate::Handle;

/// The table.
#[derive(Default)]
pub(super) struct Functions(RefCell<HashMap<u64, Persistent<Function<'static>>>>);

impl Functions {
    /// Keeps a function.
    pub(super) fn keep<'js>(&self, ctx: &Ctx<'js>, function: Function<'js>, vm: &Handle<Vm>) -> JsFn {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        self.0.borrow_mut().insert(number, Persistent::save(ctx, function));
        JsFn { number, vm: vm.clone() }
    }

    /// The function of a number.
    ///
    /// # Errors
    ///
    /// The table has been cleared.
    pub(super) fn get<'js>(&self, ctx: &Ctx<'js>, function: &JsFn) -> rquickjs::Result<Function<'js>> {
        let kept = self.0.borrow().get(&function.number).cloned();
        kept.ok_or(rquickjs::Error::UnrelatedRuntime)?.restore(ctx)
    }

    /// Lets all of them go.
    pub(super) fn clear(&self) {
        let functions = std::mem::take(&mut *self.0.borrow_mut());
        drop(functions);
    }
}

/// The number of a function of the VM.
pub(super) struct JsFn {
    number: u64,
    vm: Handle<Vm>,
}

impl Drop for JsFn {
    fn drop(&mut self) {
        let number = self.number;
        // A VM that is closed clears its table itself.
        let _ = self.vm.post("release a function", move |vm| {
            let function = vm.functions.0.borrow_mut().remove(&number);
            drop(function);
        });
    }
}
