//! Small queues: what was accepted and what was not, where senders wait for room.
#![cfg(not(loom))]

mod common;

use std::sync::mpsc;
use std::thread;

use common::within_a_minute;
use impasse::{Owner, PostError, Run, Session, Shutdown, Unrun, WaitOnOwner};

/// A job of the owner goes on until the sender is used or dropped.
fn busy<T>(vm: &impasse::Handle<T>) -> mpsc::Sender<()> {
    let ((go, wait), (begins, begun)) = (mpsc::channel(), mpsc::channel());
    let job = move |_: &T| {
        begins.send(()).unwrap();
        let _ = wait.recv();
    };
    vm.post("busy", job).unwrap();
    begun.recv().unwrap();
    go
}

fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}

#[test]
fn a_post_that_waited_for_room_and_will_not_run_reaches_the_hook() {
    within_a_minute(|| {
        let (tell, told) = mpsc::channel();
        let owner =
            Owner::builder("vm").capacity(1).on_unrun(move |op, why| tell.send((op.label, why)).unwrap());
        let owner = owner.spawn(|| ()).unwrap();
        let vm = owner.handle();
        let first = busy(&vm);
        let (second_begins, second_begun) = mpsc::channel();
        let (second, wait) = mpsc::channel::<()>();
        let job = move |()| {
            second_begins.send(()).unwrap();
            let _ = wait.recv();
        };
        vm.post("second", move |()| job(())).unwrap();
        let [accepted, refused] = ["accepted", "refused"].map(|label| {
            let (vm, queued) = (vm.clone(), vm.len());
            let sender = thread::spawn({
                let vm = vm.clone();
                move || vm.post_wait(label, |()| panic!("it ran"))
            });
            wait_until(|| vm.len() == queued + 1);
            sender
        });
        // With the first job done there is room for one of the two.
        drop(first);
        second_begun.recv().unwrap();
        assert_eq!(accepted.join().unwrap(), Ok(()));
        vm.close_now();
        assert!(matches!(refused.join().unwrap(), Err(PostError::Closed(_))));
        drop(second);
        assert_eq!(owner.shutdown(Shutdown::Now), Ok(()));
        drop((vm, owner));
        assert_eq!(told.iter().collect::<Vec<_>>(), [("accepted", Unrun::Closed)]);
    });
}

/// The run waits for a post of its own, which the owner serves although others came before.
#[test]
fn a_post_that_is_served_out_of_turn_is_accepted_by_that() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").wait_on_owner(WaitOnOwner::Serve).capacity(1).spawn(|| ()).unwrap();
        let vm = owner.handle();
        let outside = vm.clone();
        let (fill, filled) = (mpsc::channel::<()>(), mpsc::channel::<()>());
        let unrelated = thread::spawn(move || {
            fill.1.recv().unwrap();
            outside.post("unrelated", |()| ()).unwrap();
            filled.0.send(()).unwrap();
            outside.post_wait("unrelated, and waits", |()| ())
        });
        let (fill, filled) = (fill.0, std::sync::Mutex::new(filled.1));
        let session = Session::builder("s", &vm).engine(move |run: &Run<()>, ()| {
            let ((go, wait), (begins, begun)) = (mpsc::channel::<()>(), mpsc::channel());
            // The owner is inside of a job that it serves, and not in a wait, until the post is in the line.
            let callback = impasse::thread::spawn_named("callback", {
                let vm = run.owner().clone();
                move || {
                    vm.call("callback", move |()| {
                        begins.send(()).unwrap();
                        let _ = wait.recv();
                    })
                }
            })?;
            begun.recv()?;
            fill.send(())?;
            filled.lock().unwrap().recv()?;
            wait_until(|| run.owner().len() == 2);
            let vm = run.owner().clone();
            let posts =
                impasse::thread::spawn_named("posts", move || vm.post_wait("post of the run", |()| ()))?;
            wait_until(|| run.owner().len() == 3);
            drop(go);
            callback.checked_join()??;
            posts.checked_join()??;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
        vm.call("eval", move |()| session.run(()).unwrap()).unwrap();
        assert_eq!(unrelated.join().unwrap(), Ok(()));
    });
}
