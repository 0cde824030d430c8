//! One session with one callback, on the owner under every policy and off the owner; and settlement.
//!
//! The owner is the model's main thread, its first job makes the run, and the run's end closes the owner.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use impasse::{CallError, Deadlock, Handle, Owner, Run, RunError, Session, WaitOnOwner};
use loom::thread;

use crate::ghost;
use crate::runner::{Search, check, hangs, is_child, reports, twin};

/// The state: how many jobs have run on it.
type Count = Rc<Cell<usize>>;

type Inference = Session<Count, usize, usize>;

/// What the callbacks of a run came to: the deadlock that one of them was refused for.
type Refused = Arc<std::sync::Mutex<Option<Deadlock>>>;

/// A session whose runs call back as often as they are told.
fn inference(vm: &Handle<Count>) -> (Inference, Refused) {
    let refused = Refused::default();
    let told = refused.clone();
    let session = Session::builder("inference", vm).engine(move |run: &Run<Count>, callbacks: usize| {
        for _ in 0..callbacks {
            let call = || run.call("middleware", |count| count.set(count.get() + 1));
            let called = ghost::me().waits("a job on owner `vm`", call);
            if let Err(CallError::Deadlock(deadlock)) = &called {
                *told.lock().unwrap() = Some(deadlock.clone());
            }
            called?;
        }
        Ok::<_, CallError>(callbacks)
    });
    (session, refused)
}

/// A job on the owner waits for a run with this many callbacks, and then `check` gets what came of it.
fn run_on_the_owner(
    policy: WaitOnOwner,
    callbacks: usize,
    check: impl FnOnce(Result<usize, RunError>, Option<Deadlock>, usize) + Send + 'static,
) {
    reports::reset();
    let (vm, owner) = Owner::builder("vm").wait_on_owner(policy).attach(Count::default());
    let (session, refused) = inference(&vm);
    let handle = vm.clone();
    let eval = move |count: &Count| {
        let result = ghost::me().waits("run #1 of session `inference`", || session.run(callbacks));
        let refused = refused.lock().unwrap().take();
        check(result, refused, count.get());
        handle.close();
    };
    vm.post("eval", eval).unwrap();
    let _serves = ghost::named("owner `vm`").holds("a job on owner `vm`");
    let _settles = ghost::named("run #1 of `inference`").holds("run #1 of session `inference`");
    owner.run();
}

/// The cycle closes in every execution and is reported once: the callback's call is the victim, and `run`
/// hands the same report to the script.
#[test]
fn detect_reports_the_cycle_in_every_execution() {
    check("detect_reports_the_cycle_in_every_execution", Search::Exhaustive, || {
        run_on_the_owner(WaitOnOwner::Detect, 1, |result, refused, ran| {
            let refused = refused.expect("the callback's call is the victim");
            let Err(RunError::Deadlock(deadlock)) = result else { panic!("run() ended in {result:?}") };
            assert!(deadlock.is_same_report(&refused), "two reports");
            assert_eq!(reports::count(), 1, "reported more than once");
            let hops = deadlock.hops().iter().map(|hop| [&*hop.task, &*hop.waits_for]).collect::<Vec<_>>();
            let expected = [
                ["owner `vm`", "run #1 of session `inference`"],
                ["run #1 of `inference`", "a job on owner `vm`"],
            ];
            assert_eq!(hops, expected);
            assert_eq!(ran, 0, "the refused job ran");
        });
    });
}

#[test]
fn without_the_detector_the_same_model_hangs() {
    twin("detector-off", "session::detect_reports_the_cycle_in_every_execution", "deadlock;");
}

/// `Block` is the bug itself: the model hangs, in a child.
#[test]
fn block_is_the_bug() {
    if !is_child() {
        return hangs("session::block_is_the_bug");
    }
    check("block_is_the_bug", Search::Exhaustive, || {
        run_on_the_owner(WaitOnOwner::Block, 1, |_, _, _| unreachable!("run() came back"));
    });
}

/// Nothing is started, and the owner takes a call from another thread afterwards.
#[test]
fn reject_starts_nothing_and_leaves_the_owner_dispatchable() {
    check("reject_starts_nothing_and_leaves_the_owner_dispatchable", Search::Exhaustive, || {
        reports::reset();
        let (vm, owner) = Owner::builder("vm").attach(Count::default());
        let (session, _) = inference(&vm);
        vm.post("eval", move |count| {
            let result = session.run(1);
            assert!(matches!(result, Err(RunError::WaitOnOwner { .. })), "run() ended in {result:?}");
            assert_eq!(count.get(), 0);
        })
        .unwrap();
        let caller = thread::spawn(move || {
            assert_eq!(vm.call("look", |count| count.get()), Ok(0), "something was started");
            vm.close();
        });
        owner.run();
        caller.join().unwrap();
        assert_eq!(reports::count(), 0);
    });
}

#[test]
fn a_policy_that_refuses_nothing_starts_the_run() {
    let test = "session::reject_starts_nothing_and_leaves_the_owner_dispatchable";
    twin("reject-nothing", test, "run() ended in");
}

/// The owner runs the callback while it waits for the run.
#[test]
fn serve_completes() {
    check("serve_completes", Search::Exhaustive, || serve(1));
}

#[test]
fn serve_completes_with_two_callbacks() {
    const WHY: Search = Search::Bounded(3, "two callbacks: the whole does not end in two minutes");
    check("serve_completes_with_two_callbacks", WHY, || serve(2));
}

fn serve(callbacks: usize) {
    run_on_the_owner(WaitOnOwner::Serve, callbacks, move |result, refused, ran| {
        assert_eq!(refused, None, "a served callback was refused");
        assert_eq!(result.unwrap(), callbacks);
        assert_eq!(ran, callbacks);
        assert_eq!(reports::count(), 0);
    });
}

/// The run waits for a thread that was started elsewhere and that calls the owner: no lineage says so, but the
/// graph does, whichever of the two waits comes last.
#[test]
fn serve_runs_what_the_awaited_work_needs() {
    const WHY: Search = Search::Bounded(3, "three threads: the whole does not end in two minutes");
    check("serve_runs_what_the_awaited_work_needs", WHY, || {
        reports::reset();
        let (vm, owner) = Owner::builder("vm").wait_on_owner(WaitOnOwner::Serve).attach(Count::default());
        let caller = vm.clone();
        let elsewhere = impasse::thread::spawn_named("elsewhere", move || {
            caller.call("look", |count| count.get()).expect("a needed job was refused")
        });
        let elsewhere = std::sync::Mutex::new(elsewhere.ok());
        let session = Session::builder("inference", &vm)
            .engine(move |_, ()| elsewhere.lock().unwrap().take().expect("there is one run").checked_join());
        let handle = vm.clone();
        vm.post("eval", move |_| {
            assert_eq!(session.run(()).expect("a needed job was not run"), 0);
            handle.close();
        })
        .unwrap();
        owner.run();
        assert_eq!(reports::count(), 0);
    });
}

#[test]
fn an_owner_that_serves_behind_its_edge_is_taken_for_one_that_waits() {
    let test = "session::serve_runs_what_the_awaited_work_needs";
    twin("serve-behind-edge", test, "a needed job was not run");
}

#[test]
fn an_edge_that_goes_during_a_look_is_taken_for_one_that_stays() {
    let test = "session::serve_runs_what_the_awaited_work_needs";
    twin("withdraw-unlocked", test, "a needed job was not run");
}

#[test]
fn without_need_the_awaited_work_waits_for_ever() {
    twin("ignore-serving", "session::serve_runs_what_the_awaited_work_needs", "a needed job was");
}

#[test]
fn a_chase_that_ignores_serving_refuses_a_served_callback() {
    twin("ignore-serving", "session::serve_completes", "a served callback was refused");
}

/// Off the owner a run is an ordinary wait, and the owner is free to run the callback.
#[test]
fn a_run_off_the_owner_completes() {
    check("a_run_off_the_owner_completes", Search::Exhaustive, || {
        reports::reset();
        let (vm, owner) = Owner::builder("vm").attach(Count::default());
        let (session, _) = inference(&vm);
        let outside = thread::spawn(move || {
            assert_eq!(session.run(1).unwrap(), 1);
            vm.close();
        });
        owner.run();
        outside.join().unwrap();
        assert_eq!(reports::count(), 0);
    });
}

#[test]
fn a_run_off_the_owner_whose_callback_wakes_nobody_never_ends() {
    twin("forget-parked", "session::a_run_off_the_owner_completes", "deadlock;");
}

/// A started run settles once, on the owner, although the owner is closed at any moment: once the promise is
/// made the shutdown waits for it, and before that its maker is told.
#[test]
fn a_started_run_settles_once_on_the_owner_against_a_racing_shutdown() {
    let name = "a_started_run_settles_once_on_the_owner_against_a_racing_shutdown";
    check(name, Search::Exhaustive, || {
        let (settled, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (settles, refuses) = (settled.clone(), refused.clone());
        let (vm, owner) = Owner::builder("vm").attach(Count::default());
        let (session, _) = inference(&vm);
        let handle = vm.clone();
        vm.post("eval", move |_| {
            let promise = session.start(0).map(|run| {
                run.on_settled("settle", move |_, result| {
                    // Closing the owner cancels the run, if that comes before its answer.
                    assert!(matches!(result, Ok(0) | Err(RunError::Closed(_))), "{result:?}");
                    assert!(handle.is_owner(), "settled off the owner");
                    settles.fetch_add(1, Ordering::Relaxed);
                })
            });
            let promise = match promise {
                Ok(promised) => promised,
                Err(RunError::Closed(closed)) => Err(closed),
                Err(other) => panic!("{other}"),
            };
            if promise.is_err() {
                refuses.fetch_add(1, Ordering::Relaxed);
            }
        })
        .unwrap();
        let closer = thread::spawn(move || vm.close());
        owner.run();
        closer.join().unwrap();
        let (settled, refused) = (settled.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
        assert_eq!(settled + refused, 1, "settled {settled} times, refused {refused} times");
    });
}

#[test]
fn a_shutdown_that_forgets_what_is_owed_loses_the_settlement() {
    let test = "session::a_started_run_settles_once_on_the_owner_against_a_racing_shutdown";
    twin("forget-reservation", test, "settled 0 times, refused 0 times");
}
