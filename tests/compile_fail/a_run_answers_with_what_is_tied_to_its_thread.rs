//! A run cannot answer with an `Rc`, whichever way its starter would get it.
use std::rc::Rc;

use impasse::{CallError, Owner, Run, Session};

fn main() {
    let owner = Owner::builder("vm").spawn(|| ()).unwrap();
    let session = Session::builder("s", &owner.handle()).engine(|_: &Run<()>, ()| Ok::<_, CallError>(Rc::new(1)));
    let _handle = session.start(());
}
