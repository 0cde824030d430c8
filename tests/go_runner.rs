//! Each behaviour of the original Go runner, as a test of that meaning.
#![cfg(not(loom))]

mod common;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::{busy, until, until_waited_for, until_waits, within_a_minute};
use impasse::{
    CallError, Closed, Handle, Owner, PostError, Run, RunError, Session, Shutdown, WaitError, current_op,
};

type Log = RefCell<Vec<usize>>;

fn runner() -> Owner<Log> {
    Owner::builder("runner").spawn(Log::default).unwrap()
}

fn log(owner: &Handle<Log>) -> Vec<usize> {
    owner.call("look", |log| log.borrow().clone()).unwrap()
}

#[test]
fn a_call_returns_what_its_job_returns() {
    within_a_minute(|| {
        let owner = runner();
        assert_eq!(owner.handle().call("add", |_| 40 + 2), Ok(42));
        let failed: Result<Result<(), String>, _> =
            owner.handle().call("fail", |_| Err("an error".to_owned()));
        assert_eq!(
            failed,
            Ok(Err("an error".to_owned())),
            "an error of the job's is a result like any other"
        );
    });
}

#[test]
fn a_call_from_a_job_runs_at_once() {
    within_a_minute(|| {
        let owner = runner();
        let inside = owner.handle();
        let outer = owner.handle().call("outer", move |log| {
            let thread = thread::current().id();
            let inner = inside.call("inner", move |log| {
                log.borrow_mut().push(1);
                thread == thread::current().id()
            });
            log.borrow_mut().push(2);
            inner
        });
        assert_eq!(outer, Ok(Ok(true)));
        assert_eq!(log(&owner.handle()), [1, 2]);
    });
}

#[test]
fn a_job_sees_its_label() {
    within_a_minute(|| {
        let owner = runner();
        let vm = owner.handle();
        let inside = vm.clone();
        let label = || current_op().map(|op| op.label);
        let seen = vm.call("outer", move |_| {
            let before = label();
            let inner = inside.call("inner", move |_| label()).unwrap();
            (before, inner, label(), thread::spawn(label).join().unwrap())
        });
        assert_eq!(seen, Ok((Some("outer"), Some("inner"), Some("outer"), None)));
        let (told, sees) = mpsc::channel();
        let line = line!() + 1;
        vm.post("post", move |_| told.send(current_op().unwrap()).unwrap()).unwrap();
        let op = sees.recv().unwrap();
        assert_eq!((op.label, op.site().file, op.site().line), ("post", file!(), line));
        assert_eq!(current_op(), None, "this is no job");
    });
}

#[test]
fn a_cancelled_call_returns_at_once() {
    within_a_minute(|| {
        let owner = runner();
        let vm = owner.handle();
        let held = busy(&vm);
        let session = Session::builder("cancelled call", &vm).engine(|run: &Run<Log>, ()| {
            let called = run.call("call", |log| log.borrow_mut().push(1));
            assert!(matches!(called, Err(CallError::Cancelled(_))), "{called:?}");
            called
        });
        let run = session.start(()).unwrap();
        until_waits("run #1 of `cancelled call`");
        assert!(run.cancel());
        assert!(matches!(run.wait(), Err(RunError::Cancelled(_))), "the owner is still in its job");
        drop(held);
    });
}

#[test]
fn a_call_that_was_cancelled_in_the_queue_is_skipped() {
    within_a_minute(|| {
        let owner = runner();
        let vm = owner.handle();
        let held = busy(&vm);
        let session = Session::builder("skipped call", &vm)
            .engine(|run: &Run<Log>, ()| run.call("call", |log| log.borrow_mut().push(1)));
        let run = session.start(()).unwrap();
        until(|| vm.len() == 1);
        assert!(run.cancel());
        assert!(matches!(run.wait(), Err(RunError::Cancelled(_))));
        let late = vm.call_timeout("late", Duration::from_millis(1), |log| log.borrow_mut().push(2));
        assert!(matches!(late, Err(CallError::TimedOut { .. })));
        drop(held);
        assert_eq!(log(&vm), [] as [usize; 0]);
    });
}

#[test]
fn after_the_close_all_is_refused() {
    within_a_minute(|| {
        let owner = runner();
        let vm = owner.handle();
        owner.shutdown(Shutdown::Drain).unwrap();
        let is_ours = |closed: &Closed| &*closed.owner == "runner";
        assert!(matches!(vm.call("call", |_| ()), Err(CallError::Closed(closed)) if is_ours(&closed)));
        assert!(matches!(vm.post("post", |_| ()), Err(PostError::Closed(closed)) if is_ours(&closed)));
        assert!(vm.is_closed());
    });
}

#[test]
fn a_panic_without_a_stack_says_what_and_where() {
    within_a_minute(|| {
        let owner = runner();
        let line = line!() + 1;
        let called = owner.handle().call("break", |_| -> () { panic!("broke") });
        let Err(CallError::Panicked(panicked)) = called else { panic!("{called:?}") };
        assert_eq!((panicked.op.label, &*panicked.message), ("break", "broke"));
        assert_eq!(panicked.at, Some((file!().to_owned(), line)));
        assert!(panicked.backtrace().is_none());
        assert_eq!(owner.handle().call("goes on", |_| 42), Ok(42));
    });
}

#[test]
fn a_panic_with_a_stack_says_how_it_came_to_it() {
    #[inline(never)]
    fn deep_inside() {
        panic!("broke");
    }
    within_a_minute(|| {
        let owner = Owner::builder("runner").backtraces().spawn(|| ()).unwrap();
        let called = owner.handle().call("break", |()| deep_inside());
        let Err(CallError::Panicked(panicked)) = called else { panic!("{called:?}") };
        let stack = panicked.backtrace().unwrap().to_string();
        assert!(stack.contains("deep_inside"), "{stack}");
    });
}

#[test]
fn a_shutdown_waits_for_what_was_accepted() {
    within_a_minute(|| {
        let owner = runner();
        let vm = owner.handle();
        let held = busy(&vm);
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..5 {
            let ran = ran.clone();
            vm.post("post", move |_| _ = ran.fetch_add(1, Ordering::SeqCst)).unwrap();
        }
        let ends = thread::spawn(move || owner.shutdown(Shutdown::Drain));
        until(|| vm.is_closed());
        assert!(!ends.is_finished());
        drop(held);
        assert_eq!(ends.join().unwrap(), Ok(()));
        assert_eq!(ran.load(Ordering::SeqCst), 5);
    });
}

#[test]
fn a_post_runs_later_and_its_sender_goes_on() {
    within_a_minute(|| {
        let owner = runner();
        let vm = owner.handle();
        let held = busy(&vm);
        let ran = Arc::new(AtomicBool::new(false));
        let says = ran.clone();
        vm.post("post", move |_| says.store(true, Ordering::SeqCst)).unwrap();
        assert!(!ran.load(Ordering::SeqCst));
        drop(held);
        vm.wait_idle().unwrap();
        assert!(ran.load(Ordering::SeqCst));
    });
}

#[test]
fn wait_idle_waits_for_the_active_call() {
    within_a_minute(|| {
        let owner = Owner::builder("active runner").spawn(|| ()).unwrap();
        let vm = owner.handle();
        let is_over = Arc::new(AtomicBool::new(false));
        let says = is_over.clone();
        let (begun, has_begun) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let calls = vm.clone();
        let caller = thread::spawn(move || {
            calls.call("active", move |()| {
                begun.send(()).unwrap();
                wait.recv().unwrap();
                says.store(true, Ordering::SeqCst);
            })
        });
        has_begun.recv().unwrap();
        let waits = thread::spawn(move || (vm.wait_idle(), is_over.load(Ordering::SeqCst)));
        until_waited_for("owner `active runner` to have nothing to do");
        go.send(()).unwrap();
        assert_eq!(waits.join().unwrap(), (Ok(()), true));
        caller.join().unwrap().unwrap();
    });
}

/// The deadline is that of the post, not of whoever posted it: that is gone by the time the job runs.
#[test]
fn the_deadline_of_a_post_survives_until_it_runs() {
    within_a_minute(|| {
        let (tell, told) = mpsc::channel();
        let owner = Owner::builder("runner").on_unrun(move |op, why| tell.send((op.label, why)).unwrap());
        let owner = owner.spawn(Log::default).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        let session = Session::builder("posts", &vm).engine(|run: &Run<Log>, ()| {
            run.owner().post_within("in time", Duration::from_secs(3600), |log| log.borrow_mut().push(1))?;
            run.owner().post_within("too late", Duration::from_millis(1), |log| log.borrow_mut().push(2))
        });
        session.run(()).unwrap();
        thread::sleep(Duration::from_millis(5));
        drop(held);
        assert_eq!(log(&vm), [1]);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [("too late", impasse::Unrun::Expired)]);
    });
}

/// What a job gives away of itself (its lineage) makes nobody the owner.
fn with_a_leaked_context(leak: impl FnOnce(Box<dyn FnOnce() + Send>) + Send + 'static) {
    within_a_minute(move || {
        let owner = runner();
        let vm = owner.handle();
        let leaked = vm.clone();
        let (go, goes) = mpsc::channel::<()>();
        let (told, tells) = mpsc::channel();
        vm.call("leaks", move |_| {
            leak(Box::new(move || {
                goes.recv().unwrap();
                leaked.post("post", |log| log.borrow_mut().push(2)).unwrap();
                let called = leaked.call("call", |log| log.borrow_mut().push(3));
                told.send((called, leaked.is_owner())).unwrap();
            }));
        })
        .unwrap();
        // The job that leaked it is over, and another one runs.
        let held = busy(&vm);
        go.send(()).unwrap();
        until(|| vm.len() == 2);
        assert!(tells.try_recv().is_err(), "it did not queue");
        vm.post("behind", |log| log.borrow_mut().push(4)).unwrap();
        drop(held);
        assert_eq!(tells.recv().unwrap(), (Ok(()), false));
        assert_eq!(log(&vm), [2, 3, 4]);
    });
}

#[test]
fn a_leaked_owner_context_still_queues() {
    with_a_leaked_context(|body| drop(impasse::thread::spawn_named("heir", body).unwrap()));
    with_a_leaked_context(|body| {
        let lineage = impasse::Lineage::current();
        drop(thread::spawn(move || lineage.enter(body)));
    });
}

#[test]
fn five_hundred_threads_call_post_and_leave() {
    within_a_minute(|| {
        let owner = Owner::builder("runner").spawn(Log::default).unwrap();
        let vm = owner.handle();
        let threads: Vec<_> = (0..500)
            .map(|number| {
                let vm = vm.clone();
                thread::spawn(move || {
                    vm.post("post", move |log| log.borrow_mut().push(number)).unwrap();
                    let inside = vm.clone();
                    let answer = vm.call("call", move |_| inside.call("inner", move |_| number).unwrap());
                    assert_eq!(answer, Ok(number));
                    match vm.call_timeout("timed", Duration::from_micros(1), move |log| {
                        log.borrow_mut().push(1000 + number);
                    }) {
                        Ok(()) => true,
                        Err(CallError::TimedOut { .. }) => false,
                        Err(other) => panic!("{other}"),
                    }
                })
            })
            .collect();
        let answered: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let log = log(&vm);
        for (number, answered) in answered.into_iter().enumerate() {
            let times = |entry| log.iter().filter(|logged| **logged == entry).count();
            assert_eq!(times(number), 1);
            // One that has left may have left too late.
            assert!(if answered { times(1000 + number) == 1 } else { times(1000 + number) <= 1 });
        }
        assert_eq!(vm.wait_idle(), Ok::<_, WaitError>(()));
    });
}
