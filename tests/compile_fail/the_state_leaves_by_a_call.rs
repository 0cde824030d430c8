//! A call cannot return the state, or a part of it that is tied to the thread.
use std::rc::Rc;

fn main() {
    let owner = impasse::Owner::builder("vm").spawn(|| Rc::new(1)).unwrap();
    let _stolen = owner.handle().call("steal", |state| state.clone());
}
