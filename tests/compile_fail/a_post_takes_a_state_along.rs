//! A post cannot take along a state that was made on this thread.
use std::rc::Rc;

fn main() {
    let other = Rc::new(1);
    let (vm, _main_loop) = impasse::Owner::builder("vm").attach(Rc::new(0));
    let _ = vm.post("swap", move |_| drop(other));
}
