//! A job is sent to the owner's thread, so it cannot take along an `Rc` of this one.
use std::rc::Rc;

fn main() {
    let owner = impasse::Owner::builder("vm").spawn(|| ()).unwrap();
    let here = Rc::new(1);
    let _ = owner.handle().post("take along", move |_| drop(here));
}
