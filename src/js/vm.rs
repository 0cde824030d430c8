//! The machine: entered from jobs, also from a job inside a job.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::ptr::NonNull;
use std::rc::Rc;

use rquickjs::{Context, Ctx, Runtime, qjs};

use super::exception::Exception;
use super::functions::Functions;
use super::progress::Progress;

/// How much of the owner's stack scripts may use, in bytes. Beyond it they get a catchable error.
const SCRIPT_STACK: usize = 1 << 20;

/// A QuickJS virtual machine. It is made on the owner's thread and stays there.
pub struct Vm {
    // Dropped in this order: a function that outlives the runtime aborts the process.
    pub(super) functions: Rc<Functions>,
    pub(super) progress: Rc<Progress>,
    context: Context,
    _runtime: Runtime,
    /// The context, while JavaScript or a native function below it is on the stack.
    entered: Cell<Option<NonNull<qjs::JSContext>>>,
}

impl Vm {
    /// A new machine with the full set of built-ins.
    ///
    /// # Errors
    ///
    /// QuickJS has no memory for it.
    pub fn new() -> rquickjs::Result<Self> {
        let runtime = Runtime::new()?;
        runtime.set_max_stack_size(SCRIPT_STACK);
        let progress = Rc::new(Progress::default());
        let observed = progress.clone();
        runtime.set_host_promise_rejection_tracker(Some(Box::new(move |_, promise, reason, handled| {
            // SAFETY: only the address is read: it tells promises apart for as long as they are rejected.
            let promise = unsafe { promise.as_raw().u.ptr }.addr();
            match handled {
                true => observed.handled(promise),
                false => observed.rejected(promise, Exception::of_value(&reason)),
            }
        })));
        let context = Context::full(&runtime)?;
        Ok(Self { functions: Rc::default(), progress, context, _runtime: runtime, entered: Cell::new(None) })
    }

    /// Enters the machine. From the outermost entry the microtasks are run before it returns; inside of one
    /// they are not, since a statement of a script is still in progress.
    pub fn with<R>(&self, body: impl FnOnce(&Ctx<'_>) -> R) -> R {
        if let Some(raw) = self.entered.get() {
            // SAFETY: `entered` is set while the entry below on this thread's stack holds the runtime's lock
            // (the machine is not `Send`, so it is this thread's), and the closure is given the context for
            // any lifetime at all, so nothing of it can leave.
            let ctx = unsafe { Ctx::from_raw(raw) };
            return body(&ctx);
        }
        let result = self.context.with(|ctx| {
            self.entered.set(Some(ctx.as_raw()));
            let _left = Left(&self.entered);
            let result = body(&ctx);
            while ctx.execute_pending_job() {}
            result
        });
        self.progress.check();
        result
    }
}

/// Takes the context back when the outermost entry ends, on unwinding too.
struct Left<'a>(&'a Cell<Option<NonNull<qjs::JSContext>>>);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.set(None);
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.functions.clear();
    }
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm").finish_non_exhaustive()
    }
}
