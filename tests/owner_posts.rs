//! Posts: their order, their deadlines, and the room that a bounded queue has, on real threads.
#![cfg(not(loom))]

mod common;

use std::cell::RefCell;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use common::{Notice, busy, until, until_waited_for, until_waits, within_a_minute};
use impasse::{CallError, Handle, Owner, OwnerBuilder, PostError, Run, Session, Unrun, WaitOnOwner};

type Log = RefCell<Vec<usize>>;
type Told = Arc<Mutex<Vec<(&'static str, Unrun)>>>;

fn log(owner: &Handle<Log>) -> Vec<usize> {
    owner.call("look", |log| log.borrow().clone()).unwrap()
}

fn push(owner: &Handle<Log>, number: usize) -> Result<(), PostError> {
    owner.post("push", move |log| log.borrow_mut().push(number))
}

fn push_wait(owner: &Handle<Log>, number: usize) -> Result<(), PostError> {
    owner.post_wait("push_wait", move |log| log.borrow_mut().push(number))
}

/// A builder with a hook, and what the hook is told.
fn told(builder: OwnerBuilder) -> (OwnerBuilder, Told) {
    let told = Told::default();
    let tell = told.clone();
    (builder.on_unrun(move |op, why| tell.lock().unwrap().push((op.label, why))), told)
}

#[test]
fn no_kind_of_post_runs_inside_the_job_that_posts() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(Log::default).unwrap();
        let vm = owner.handle();
        let inside = vm.clone();
        vm.call("outer", move |log| {
            push(&inside, 2).unwrap();
            inside.post_within("within", Duration::MAX, |log| log.borrow_mut().push(3)).unwrap();
            push_wait(&inside, 4).unwrap();
            log.borrow_mut().push(1);
        })
        .unwrap();
        assert_eq!(log(&vm), [1, 2, 3, 4]);
    });
}

#[test]
fn a_post_whose_deadline_passes_in_the_queue_is_told_to_the_hook() {
    within_a_minute(|| {
        let (builder, told) = told(Owner::builder("vm"));
        let owner = builder.spawn(Log::default).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        let (notice, is_dropped) = Notice::new();
        vm.post_within("expires", Duration::from_millis(1), move |log| {
            let _captured = &notice;
            log.borrow_mut().push(0);
        })
        .unwrap();
        push(&vm, 1).unwrap();
        thread::sleep(Duration::from_millis(5));
        drop(held);
        assert_eq!(log(&vm), [1], "it ran after its deadline");
        assert_eq!(*told.lock().unwrap(), [("expires", Unrun::Expired)]);
        assert!(is_dropped.recv().is_ok(), "what it captured is dropped");
    });
}

#[test]
fn a_post_whose_deadline_is_not_over_runs_however_long_it_was_queued() {
    within_a_minute(|| {
        let (builder, told) = told(Owner::builder("vm"));
        let owner = builder.spawn(Log::default).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        for (number, seconds) in [(0, 3600), (1, u64::MAX)] {
            let job = move |log: &Log| log.borrow_mut().push(number);
            vm.post_within("in time", Duration::from_secs(seconds), job).unwrap();
        }
        thread::sleep(Duration::from_millis(5));
        drop(held);
        assert_eq!(log(&vm), [0, 1]);
        assert_eq!(*told.lock().unwrap(), []);
    });
}

#[test]
fn a_post_to_a_full_queue_is_refused_and_dropped() {
    within_a_minute(|| {
        let (builder, told) = told(Owner::builder("vm").capacity(2));
        let owner = builder.spawn(Log::default).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        push(&vm, 0).unwrap();
        push(&vm, 1).unwrap();
        let (notice, is_dropped) = Notice::new();
        let refused = vm.post("third", move |_| drop(notice));
        assert!(
            matches!(&refused, Err(PostError::Full { owner, capacity: 2, .. }) if &**owner == "vm"),
            "{refused:?}"
        );
        assert_eq!(is_dropped.try_recv(), Ok(thread::current().id()));
        drop(held);
        vm.wait_idle().unwrap();
        push(&vm, 3).unwrap();
        assert_eq!(log(&vm), [0, 1, 3]);
        assert_eq!(*told.lock().unwrap(), [], "a post that was not accepted is its sender's matter");
    });
}

#[test]
fn post_wait_waits_until_there_is_room() {
    within_a_minute(|| {
        let owner = Owner::builder("narrow").capacity(1).spawn(Log::default).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        push(&vm, 0).unwrap();
        let sender = vm.clone();
        let waits = thread::spawn(move || push_wait(&sender, 1));
        until_waited_for("room in the queue of owner `narrow`");
        assert!(!waits.is_finished());
        drop(held);
        assert_eq!(waits.join().unwrap(), Ok(()));
        assert_eq!(log(&vm), [0, 1]);
    });
}

/// S4: the owner alone could make the room.
#[test]
fn post_wait_by_the_owner_to_its_own_full_queue_is_a_deadlock_of_one_hop() {
    for policy in WaitOnOwner::ALL {
        within_a_minute(move || {
            let owner = Owner::builder("vm").capacity(1).wait_on_owner(policy).spawn(Log::default).unwrap();
            let vm = owner.handle();
            let inside = vm.clone();
            let refused = vm.call("fill", move |_| {
                push_wait(&inside, 0).unwrap();
                push_wait(&inside, 1)
            });
            let Ok(Err(PostError::Deadlock(deadlock))) = refused else { panic!("{policy:?}: {refused:?}") };
            let [hop] = deadlock.hops() else { panic!("{deadlock}") };
            assert_eq!((&*hop.task, &*hop.held_by), ("owner `vm`", "owner `vm`"));
            assert_eq!(hop.waits_for, "room in the queue of owner `vm`");
            assert_eq!(log(&vm), [0], "the refused job ran");
        });
    }
}

#[test]
fn a_call_is_queued_however_full_the_queue_is() {
    within_a_minute(|| {
        let owner = Owner::builder("full").capacity(1).spawn(Log::default).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        push(&vm, 0).unwrap();
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let vm = vm.clone();
                thread::spawn(move || vm.call("call", |log| log.borrow().len()))
            })
            .collect();
        until(|| vm.len() == 4);
        assert!(matches!(push(&vm, 1), Err(PostError::Full { .. })));
        drop(held);
        for caller in callers {
            assert_eq!(caller.join().unwrap(), Ok(1));
        }
    });
}

#[test]
fn the_jobs_of_one_task_keep_their_order_whether_it_waits_for_room_or_not() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").capacity(2).spawn(Log::default).unwrap();
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let vm = owner.handle();
                thread::spawn(move || {
                    for number in (sender * 1000)..(sender * 1000 + 200) {
                        match number % 3 {
                            0 => push_wait(&vm, number).unwrap(),
                            1 => vm.call("call", move |log| log.borrow_mut().push(number)).unwrap(),
                            _ => {
                                while push(&vm, number) != Ok(()) {
                                    thread::yield_now();
                                }
                            }
                        }
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().unwrap();
        }
        let log = log(&owner.handle());
        for sender in 0..4 {
            let of_sender: Vec<_> = log.iter().copied().filter(|number| number / 1000 == sender).collect();
            assert_eq!(of_sender, ((sender * 1000)..(sender * 1000 + 200)).collect::<Vec<_>>());
        }
    });
}

#[test]
fn whoever_waits_for_room_in_a_queue_that_is_refused_is_told() {
    within_a_minute(|| {
        let (builder, told) = told(Owner::builder("closing").capacity(1));
        let owner = builder.spawn(Log::default).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        vm.post("queued", |_| unreachable!("it was refused")).unwrap();
        let (sender, (notice, is_dropped)) = (vm.clone(), Notice::new());
        let waits = thread::spawn(move || sender.post_wait("waits", move |_| drop(notice)));
        until_waited_for("room in the queue of owner `closing`");
        vm.close_now();
        assert!(matches!(waits.join().unwrap(), Err(PostError::Closed(_))));
        is_dropped.recv().unwrap();
        assert_eq!(*told.lock().unwrap(), [("queued", Unrun::Closed)], "its sender was told, not the hook");
        drop(held);
        assert!(matches!(vm.post_wait("late", |_| ()), Err(PostError::Closed(_))));
        assert!(matches!(vm.call("late", |_| ()), Err(CallError::Closed(_))));
    });
}

/// Its sender has gone on, so nobody else can be told.
#[test]
fn a_post_that_got_room_and_is_refused_later_is_told_to_the_hook() {
    within_a_minute(|| {
        let (builder, told) = told(Owner::builder("roomy").capacity(1));
        let owner = builder.spawn(Log::default).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        let (begun, has_begun) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        vm.post("second", move |_| {
            begun.send(()).unwrap();
            wait.recv().unwrap();
        })
        .unwrap();
        let sender = vm.clone();
        let waits = thread::spawn(move || sender.post_wait("third", |_| unreachable!("it was refused")));
        until_waited_for("room in the queue of owner `roomy`");
        drop(held);
        has_begun.recv().unwrap();
        assert_eq!(waits.join().unwrap(), Ok(()));
        vm.close_now();
        go.send(()).unwrap();
        drop(owner);
        assert_eq!(*told.lock().unwrap(), [("third", Unrun::Closed)]);
    });
}

/// The run's post is served before two others that were queued, or wait for room, before it.
#[test]
fn a_post_that_is_served_out_of_turn_needs_no_room_any_more() {
    within_a_minute(|| {
        let builder = Owner::builder("serving").capacity(1).wait_on_owner(WaitOnOwner::Serve);
        let owner = builder.spawn(Log::default).unwrap();
        let vm = owner.handle();
        let session = Session::builder("s", &vm).engine(|run: &Run<Log>, ()| push_wait(run.owner(), 1));
        let (begun, has_begun) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let caller = {
            let vm = vm.clone();
            thread::spawn(move || {
                vm.call("eval", move |_| {
                    begun.send(()).unwrap();
                    wait.recv().unwrap();
                    session.run(())
                })
            })
        };
        has_begun.recv().unwrap();
        push(&vm, 2).unwrap();
        let sender = vm.clone();
        let waits = thread::spawn(move || push_wait(&sender, 3));
        until_waited_for("room in the queue of owner `serving`");
        go.send(()).unwrap();
        let result = caller.join().unwrap().unwrap();
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(waits.join().unwrap(), Ok(()));
        assert_eq!(log(&vm), [1, 2, 3]);
    });
}

/// The sender that is told of its cancellation takes its job along; one that is not, does not.
#[test]
fn a_cancel_that_races_with_the_room_leaves_the_job_or_takes_it_along() {
    within_a_minute(|| {
        for round in 0..500 {
            let owner = Owner::builder("vm").capacity(1).spawn(Log::default).unwrap();
            let outside = Owner::builder("outside").spawn(|| ()).unwrap();
            let vm = owner.handle();
            let held = busy(&vm);
            push(&vm, 0).unwrap();
            let (sender, (told, tells)) = (vm.clone(), mpsc::channel());
            let session = Session::builder("racing", &outside.handle()).engine(move |_: &Run<()>, ()| {
                told.send(push_wait(&sender, 1)).unwrap();
                Ok::<_, PostError>(())
            });
            let run = session.start(()).unwrap();
            until_waits("run #1 of `racing`");
            let frees = thread::spawn(move || drop(held));
            run.cancel();
            frees.join().unwrap();
            let posted = tells.recv().unwrap();
            let expected = if posted.is_ok() { vec![0, 1] } else { vec![0] };
            assert_eq!(log(&vm), expected, "round {round}: {posted:?}");
        }
    });
}
