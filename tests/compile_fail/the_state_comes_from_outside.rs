//! The state is made on the owner's thread: one that was made here cannot go there.
use std::rc::Rc;

fn main() {
    let state = Rc::new(1);
    let _owner = impasse::Owner::builder("vm").spawn(move || state);
}
