//! A script from its start to the settling of its last run.

use std::sync::Arc;

use rquickjs::Value;
use rquickjs::context::EvalOptions;

use super::exception::Exception;
use super::host;
use super::site;
use super::vm::Vm;
use crate::{Handle, Op, Owner, PostError, Site, SpawnError, WaitOnOwner};

/// Gets each line that a script prints, on the owner's thread.
pub type Console = Arc<dyn Fn(&str) + Send + Sync>;

/// Starts an owner called `vm` that holds a QuickJS machine with the `geppetto` module.
///
/// # Errors
///
/// As [`OwnerBuilder::try_spawn`](crate::OwnerBuilder::try_spawn).
///
/// # Blocking
///
/// Until the machine is made.
pub fn spawn_vm(policy: WaitOnOwner, console: Console) -> Result<Owner<Vm>, SpawnError> {
    let owner = Owner::builder("vm").wait_on_owner(policy).try_spawn(Vm::new)?;
    let handle = owner.handle();
    let installed = owner.handle().call("install", move |vm| host::install(vm, &handle, &console));
    let failed = |source| SpawnError::State { owner: "vm".into(), source };
    installed.map_err(|error| failed(error.into()))?.map_err(|exception| failed(exception.into()))?;
    Ok(owner)
}

/// A script and the name under which stacks and reports show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Usually the path of its file.
    pub name: String,
    /// Its text.
    pub source: String,
}

impl Script {
    /// Starts the script as a job of the owner. `done` is called there, once: when the top level has ended and
    /// every run that was started has settled, or with what was thrown and not caught.
    ///
    /// # Errors
    ///
    /// [`PostError::Closed`] if the owner is closed.
    ///
    /// # Blocking
    ///
    /// Never.
    pub fn start(
        self,
        vm: &Handle<Vm>,
        done: impl FnOnce(Result<(), Exception>) + Send + 'static,
    ) -> Result<(), PostError> {
        let top_level = site::keep_site(Site { file: site::keep(&self.name), line: 1, column: 1 });
        vm.post(Op::at("eval", top_level), move |vm| {
            vm.progress.when_done(done);
            vm.with(|ctx| {
                let mut options = EvalOptions::default();
                // Scripts in the field are sloppy.
                options.strict = false;
                options.filename = Some(self.name);
                let result = ctx.eval_with_options::<Value<'_>, _>(self.source, options);
                let result = result.map(drop).map_err(|error| Exception::caught(ctx, error));
                vm.progress.top_level_ended(result);
            });
        })
    }
}
