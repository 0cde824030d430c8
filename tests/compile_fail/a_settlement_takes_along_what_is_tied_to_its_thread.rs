//! A settlement runs on the owner, so it cannot take along an `Rc` of this thread.
use std::rc::Rc;

use impasse::{CallError, Owner, Run, Session};

fn main() {
    let owner = Owner::builder("vm").spawn(|| ()).unwrap();
    let session = Session::builder("s", &owner.handle()).engine(|_: &Run<()>, ()| Ok::<_, CallError>(()));
    let here = Rc::new(1);
    let _ = session.start(()).unwrap().on_settled("settle", move |_, _| drop(here));
}
