//! A virtual machine cannot be moved into the background work of a session.
use impasse::{CallError, Owner, Run, Session};

struct Vm(*mut ());

fn main() {
    let owner = Owner::builder("vm").spawn(|| ()).unwrap();
    let vm = Vm(std::ptr::null_mut());
    let _session = Session::builder("off the owner", &owner.handle()).engine(move |_: &Run<()>, ()| {
        let _script_would_run_on = &vm;
        Ok::<_, CallError>(())
    });
}
