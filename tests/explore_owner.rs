//! The rules of owners and sessions that speak of races, in every interleaving. Each body says what must hold in each
//! execution; what happens in some executions and not in others is collected, and has to be all of what can.
#![cfg(not(loom))]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use impasse::explore::{Explorer, Report, Timeouts, Verdict};
use impasse::sync::Queue;
use impasse::thread::{self, JoinHandle};
use impasse::{
    CallError, Handle, Owner, PostError, Run, RunError, RunHandle, Session, Shutdown, ShutdownError,
    WaitError, WaitOnOwner,
};

/// How often something happened in an execution.
#[derive(Clone, Default)]
struct Count(Arc<AtomicU32>);

impl Count {
    fn up(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Counts its own drop.
struct Dropped(Count);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.up();
    }
}

/// What happened in some execution.
#[derive(Clone)]
struct Seen<V>(Arc<Mutex<BTreeSet<V>>>);

impl<V: Ord + Clone> Seen<V> {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn saw(&self, what: V) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(what);
    }

    fn all(&self) -> Vec<V> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

fn owner(policy: WaitOnOwner) -> Owner<()> {
    Owner::builder("vm").wait_on_owner(policy).spawn(|| ()).unwrap()
}

fn spawn<R: Send + 'static>(name: &str, body: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    thread::spawn_named(name, body).unwrap()
}

/// Explores it all, and nothing is wrong.
#[track_caller]
fn verified(explorer: &Explorer, body: impl Fn() + Send + Sync + 'static) -> Report {
    let report = explorer.explore(body);
    assert_eq!((report.verdict(), report.deadlocked()), (Verdict::Verified, 0), "{report}");
    report
}

const SOON: Duration = Duration::from_secs(1);

#[test]
fn a_caller_that_left_has_its_job_dropped_unrun_or_its_result_dropped_and_never_both() {
    for timeouts in [Timeouts::Anytime, Timeouts::WhenStuck] {
        let seen = Seen::new();
        let sees = seen.clone();
        verified(&Explorer::builder().timeouts(timeouts), move || {
            let owner = owner(WaitOnOwner::Detect);
            let [ran, jobs, results] = [(); 3].map(|()| Count::default());
            let vm = owner.handle();
            let other = spawn("other", move || vm.post("before or after", |()| ()).unwrap());
            let (job, run, result) = (Dropped(jobs.clone()), ran.clone(), results.clone());
            let called = owner.handle().call_timeout("job", SOON, move |()| {
                let _job = job;
                run.up();
                Dropped(result)
            });
            let (is_late, unrun) = (called.is_err(), jobs.get() == 1 && ran.get() == 0);
            assert!(matches!(&called, Ok(_) | Err(CallError::TimedOut { .. })), "{:?}", called.err());
            assert!(!unrun || is_late, "a job that was taken back has no result");
            drop(called);
            other.checked_join().unwrap();
            owner.shutdown(Shutdown::Drain).unwrap();
            assert_eq!((jobs.get(), results.get()), (1, ran.get()), "dropped once, as its result is");
            assert!(!(unrun && ran.get() > 0), "it ran although it had been taken back");
            sees.saw((is_late, ran.get()));
        });
        let all = match timeouts {
            Timeouts::Anytime => vec![(false, 1), (true, 0), (true, 1)],
            _ => vec![(false, 1)],
        };
        assert_eq!(seen.all(), all, "{timeouts:?}");
    }
}

#[test]
fn an_answer_that_is_dropped_takes_its_job_back_if_it_has_not_begun() {
    let seen = Seen::new();
    let sees = seen.clone();
    verified(&Explorer::builder(), move || {
        let owner = owner(WaitOnOwner::Detect);
        let [ran, jobs, results] = [(); 3].map(|()| Count::default());
        let (job, run, result) = (Dropped(jobs.clone()), ran.clone(), results.clone());
        drop(owner.handle().call_async("job", move |()| {
            let _job = job;
            run.up();
            Dropped(result)
        }));
        let unrun = jobs.get() == 1 && ran.get() == 0;
        owner.shutdown(Shutdown::Drain).unwrap();
        assert_eq!((jobs.get(), results.get()), (1, ran.get()), "dropped once, as its result is");
        assert!(!(unrun && ran.get() > 0), "it ran although it had been taken back");
        sees.saw(ran.get());
    });
    assert_eq!(seen.all(), [0, 1]);
}

/// Two callers against a shutdown of the owner: which of them were served.
fn callers_against(how: Shutdown) -> Vec<[bool; 2]> {
    let seen = Seen::new();
    let sees = seen.clone();
    verified(&Explorer::builder(), move || {
        let owner = owner(WaitOnOwner::Detect);
        let callers = ["first", "second"].map(|name| {
            let (vm, ran) = (owner.handle(), Count::default());
            spawn(name, move || {
                let run = ran.clone();
                match vm.call("job", move |()| run.up()) {
                    Ok(()) => assert_eq!(ran.get(), 1, "it ran once"),
                    Err(CallError::Closed(_)) => assert_eq!(ran.get(), 0, "the caller was told it would not"),
                    Err(error) => panic!("{error}"),
                }
                ran.get() == 1
            })
        });
        owner.shutdown(how).unwrap();
        sees.saw(callers.map(|caller| caller.checked_join().unwrap()));
    });
    seen.all()
}

#[test]
fn an_accepted_call_runs_once_or_its_caller_is_told_when_the_owner_drains() {
    let all = [[false, false], [false, true], [true, false], [true, true]];
    assert_eq!(callers_against(Shutdown::Drain), all);
}

#[test]
fn an_accepted_call_runs_once_or_its_caller_is_told_when_the_owner_is_closed_now() {
    let all = [[false, false], [false, true], [true, false], [true, true]];
    assert_eq!(callers_against(Shutdown::Now), all);
}

/// Two posts against a shutdown: how many were refused, how many ran, of how many the hook was told.
fn posts_against(how: Shutdown) -> Vec<(u32, u32, u32)> {
    let seen = Seen::new();
    let sees = seen.clone();
    verified(&Explorer::builder(), move || {
        let [refused, ran, told] = [(); 3].map(|()| Count::default());
        let tell = told.clone();
        let owner = Owner::builder("vm").on_unrun(move |_, _| tell.up()).spawn(|| ()).unwrap();
        let posters = ["first", "second"].map(|name| {
            let (vm, ran, refused) = (owner.handle(), ran.clone(), refused.clone());
            spawn(name, move || match vm.post("job", move |()| ran.up()) {
                Ok(()) => {}
                Err(PostError::Closed(_)) => refused.up(),
                Err(error) => panic!("{error}"),
            })
        });
        owner.shutdown(how).unwrap();
        posters.into_iter().for_each(|poster| poster.checked_join().unwrap());
        assert_eq!(refused.get() + ran.get() + told.get(), 2, "each once");
        sees.saw((refused.get(), ran.get(), told.get()));
    });
    seen.all()
}

#[test]
fn every_post_that_was_accepted_runs_when_the_owner_drains() {
    assert_eq!(posts_against(Shutdown::Drain), [(0, 2, 0), (1, 1, 0), (2, 0, 0)]);
}

#[test]
fn every_post_that_was_accepted_runs_or_is_told_to_the_hook_when_the_owner_is_closed_now() {
    let all = [(0, 0, 2), (0, 1, 1), (0, 2, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0)];
    assert_eq!(posts_against(Shutdown::Now), all);
}

#[test]
fn post_is_full_or_not_and_post_wait_always_gets_room() {
    let seen = Seen::new();
    let sees = seen.clone();
    verified(&Explorer::builder(), move || {
        let ran = Count::default();
        let owner = Owner::builder("vm").capacity(1).spawn(|| ()).unwrap();
        let (vm, run) = (owner.handle(), ran.clone());
        let waiting = spawn("waits for room", move || {
            let again = run.clone();
            vm.post_wait("first", move |()| run.up()).unwrap();
            vm.post_wait("second", move |()| again.up()).unwrap();
        });
        let run = ran.clone();
        let is_full = match owner.handle().post("if there is room", move |()| run.up()) {
            Ok(()) => false,
            Err(PostError::Full { capacity: 1, .. }) => true,
            Err(error) => panic!("{error}"),
        };
        waiting.checked_join().unwrap();
        owner.shutdown(Shutdown::Drain).unwrap();
        assert_eq!(ran.get(), 3 - u32::from(is_full));
        sees.saw(is_full);
    });
    assert_eq!(seen.all(), [false, true]);
}

#[test]
fn a_job_that_would_wait_for_room_in_its_own_owner_is_refused() {
    let seen = Seen::new();
    let sees = seen.clone();
    let explorer = Explorer::builder().allow_deadlock_errors(true);
    let report = explorer.explore(move || {
        let owner = Owner::builder("vm").capacity(1).spawn(|| ()).unwrap();
        let vm = owner.handle();
        let other = spawn("other", move || vm.post("fills it", |()| ()).is_ok());
        let vm = owner.handle();
        let waits = move || match vm.post_wait("from inside", |()| ()) {
            Ok(()) => true,
            Err(PostError::Deadlock(_)) => false,
            Err(error) => panic!("{error}"),
        };
        let vm = owner.handle();
        let got_room = vm.call("job", move |_| waits()).unwrap();
        sees.saw((got_room, other.checked_join().unwrap()));
    });
    assert_eq!(report.verdict(), Verdict::Verified, "{report}");
    assert_eq!(seen.all(), [(false, true), (true, false), (true, true)]);
}

#[test]
fn wait_idle_returns_when_all_that_was_accepted_before_has_run() {
    verified(&Explorer::builder(), || {
        let owner = owner(WaitOnOwner::Detect);
        let [mine, other] = [(); 2].map(|()| Count::default());
        let (vm, run) = (owner.handle(), other.clone());
        let poster = spawn("poster", move || vm.post("other", move |()| run.up()).unwrap());
        let (vm, run) = (owner.handle(), mine.clone());
        vm.post("mine", move |()| run.up()).unwrap();
        vm.wait_idle().unwrap();
        assert_eq!(mine.get(), 1);
        poster.checked_join().unwrap();
        vm.wait_idle().unwrap();
        assert_eq!((mine.get(), other.get()), (1, 1));
    });
}

#[test]
fn wait_idle_from_a_job_is_refused() {
    let report = Explorer::builder().allow_deadlock_errors(true).explore(|| {
        let owner = owner(WaitOnOwner::Serve);
        let vm = owner.handle();
        let waited = owner.handle().call("job", move |()| vm.wait_idle()).unwrap();
        assert!(matches!(waited, Err(WaitError::Deadlock(_))), "{waited:?}");
    });
    assert_eq!(report.verdict(), Verdict::Verified, "{report}");
}

/// A session whose run calls back once.
fn calling_back(vm: &Handle<()>) -> Session<(), (), u32> {
    Session::builder("s", vm).engine(|run: &Run<()>, ()| run.call("callback", |()| 42))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Answered,
    Cancelled,
    Closed,
}

impl End {
    fn of(result: &Result<u32, RunError>) -> Self {
        match result {
            Ok(42) => Self::Answered,
            Err(RunError::Cancelled(_)) => Self::Cancelled,
            Err(RunError::Closed(_)) => Self::Closed,
            // Between the closing and the cancelling the run may find out by itself.
            Err(RunError::Failed(why)) if matches!(why.downcast_ref(), Some(CallError::Closed(_))) => {
                Self::Closed
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_run_that_is_cancelled_settles_once_with_that_whatever_it_answers() {
    let seen = Seen::new();
    let sees = seen.clone();
    verified(&Explorer::builder(), move || {
        let owner = owner(WaitOnOwner::Detect);
        let run = calling_back(&owner.handle()).start(()).unwrap();
        let canceller = run.canceller();
        let cancels = spawn("cancels", move || canceller.cancel());
        let (settled, end) = (Count::default(), Arc::new(Mutex::new(None)));
        let (settle, ended) = (settled.clone(), end.clone());
        run.on_settled("settle", move |(), result| {
            settle.up();
            *ended.lock().unwrap() = Some(End::of(&result));
        })
        .unwrap();
        let in_time = cancels.checked_join().unwrap();
        owner.shutdown(Shutdown::Drain).unwrap();
        assert_eq!(settled.get(), 1, "exactly once");
        let end = end.lock().unwrap().unwrap();
        assert!(if in_time { end != End::Answered } else { end == End::Answered }, "{in_time}: {end:?}");
        sees.saw((in_time, end));
    });
    assert_eq!(seen.all(), [(false, End::Answered), (true, End::Cancelled)]);
}

#[test]
fn a_run_settles_once_when_an_answer_a_cancel_and_a_close_race() {
    let seen = Seen::new();
    let sees = seen.clone();
    verified(&Explorer::builder(), move || {
        let owner = owner(WaitOnOwner::Detect);
        let run = calling_back(&owner.handle()).start(()).unwrap();
        let canceller = run.canceller();
        let cancels = spawn("cancels", move || canceller.cancel());
        let vm = owner.handle();
        let closes = spawn("closes", move || vm.close());
        let end = End::of(&run.wait());
        cancels.checked_join().unwrap();
        closes.checked_join().unwrap();
        sees.saw(end);
    });
    assert_eq!(seen.all(), [End::Answered, End::Cancelled, End::Closed]);
}

#[test]
fn cancellation_reaches_a_call_whose_owner_is_busy() {
    verified(&Explorer::builder(), || {
        let owner = owner(WaitOnOwner::Detect);
        let gate = Arc::new(Queue::new());
        let opens = gate.clone();
        owner.handle().post("busy", move |()| drop(gate.pop())).unwrap();
        let run = calling_back(&owner.handle()).start(()).unwrap();
        assert!(run.cancel(), "it cannot have answered");
        assert_eq!(End::of(&run.wait()), End::Cancelled);
        opens.push(());
    });
}

#[test]
fn cancellation_reaches_a_nested_run() {
    verified(&Explorer::builder(), || {
        let owner = owner(WaitOnOwner::Detect);
        let session = Session::builder("outer", &owner.handle()).engine(|run: &Run<()>, ()| {
            let never = Queue::<u32>::new();
            Session::builder("inner", run.owner()).engine(move |_: &Run<()>, ()| never.pop()).run(())
        });
        let run = session.start(()).unwrap();
        assert!(run.cancel(), "it cannot have answered");
        assert_eq!(End::of(&run.wait()), End::Cancelled);
    });
}

#[test]
fn cancellation_reaches_a_wait_for_a_lock() {
    let seen = Seen::new();
    let sees = seen.clone();
    verified(&Explorer::builder(), move || {
        let owner = owner(WaitOnOwner::Detect);
        let lock = Arc::new(impasse::sync::Mutex::new(()));
        let held = lock.lock();
        let (locks, got) = (lock.clone(), Count::default());
        let gets = got.clone();
        let session = Session::builder("s", &owner.handle()).engine(move |_: &Run<()>, ()| {
            let _held = locks.checked_lock()?;
            gets.up();
            Ok::<_, WaitError>(42)
        });
        let run = session.start(()).unwrap();
        let canceller = run.canceller();
        let cancels = spawn("cancels", move || canceller.cancel());
        drop(held);
        let end = End::of(&run.wait());
        let in_time = cancels.checked_join().unwrap();
        assert_eq!(in_time, end == End::Cancelled);
        assert!(lock.checked_lock().is_ok(), "whoever leaves the line leaves the lock to the others");
        sees.saw((end, got.get()));
    });
    assert_eq!(seen.all(), [(End::Answered, 1), (End::Cancelled, 0), (End::Cancelled, 1)]);
}

/// A run that holds one lock and waits for another, which `body` has, with the first.
fn a_run_between_two_locks(body: impl FnOnce(RunHandle<(), u32>, &impasse::sync::Mutex<()>)) {
    let owner = owner(WaitOnOwner::Detect);
    let (first, second) = (Arc::new(impasse::sync::Mutex::new(())), Arc::new(impasse::sync::Mutex::new(())));
    let (has, wants, taken) = (first.clone(), second.clone(), Arc::new(Queue::new()));
    let tells = taken.clone();
    let session = Session::builder("s", &owner.handle()).engine(move |_: &Run<()>, ()| {
        let _has = has.checked_lock()?;
        tells.push(());
        let _wants = wants.checked_lock()?;
        Ok::<_, WaitError>(42)
    });
    let held = second.lock();
    let run = session.start(()).unwrap();
    taken.pop().unwrap();
    body(run, &first);
    drop(held);
}

#[test]
fn what_a_cancelled_run_holds_is_given_back_although_it_waits_for_whoever_wants_that() {
    verified(&Explorer::builder(), || {
        a_run_between_two_locks(|run, first| {
            assert!(run.cancel(), "it cannot have answered");
            assert!(first.checked_lock().is_ok(), "refused for a wait that ends by itself");
            assert_eq!(End::of(&run.wait()), End::Cancelled);
        });
    });
}

#[test]
fn a_run_that_is_cancelled_closes_a_cycle_before_that_or_not_at_all() {
    let seen = Seen::new();
    let sees = seen.clone();
    let report = Explorer::builder().allow_deadlock_errors(true).explore(move || {
        a_run_between_two_locks(|run, first| {
            let canceller = run.canceller();
            let cancels = spawn("cancels", move || canceller.cancel());
            let taken = first.checked_lock().is_ok();
            let in_time = cancels.checked_join().unwrap();
            let is_cancelled = matches!(run.wait(), Err(RunError::Cancelled(_)));
            assert_eq!(in_time, is_cancelled);
            sees.saw((taken, in_time));
        });
    });
    assert_eq!(report.verdict(), Verdict::Verified, "{report}");
    // The run may close the cycle too, and be refused before anybody cancels it.
    assert_eq!(seen.all(), [(false, true), (true, false), (true, true)]);
}

#[test]
fn closing_an_owner_cancels_its_runs() {
    for how in [Shutdown::Drain, Shutdown::Now] {
        verified(&Explorer::builder(), move || {
            let owner = owner(WaitOnOwner::Detect);
            let never = Queue::<u32>::new();
            let session = Session::builder("s", &owner.handle()).engine(move |_: &Run<()>, ()| never.pop());
            let run = session.start(()).unwrap();
            owner.shutdown(how).unwrap();
            assert_eq!(End::of(&run.wait()), End::Closed);
        });
    }
}

#[test]
fn a_run_that_a_job_waits_for_is_cancelled_when_another_closes_the_owner() {
    let seen = Seen::new();
    let sees = seen.clone();
    verified(&Explorer::builder(), move || {
        let owner = owner(WaitOnOwner::Serve);
        let session = calling_back(&owner.handle());
        let vm = owner.handle();
        let closes = spawn("closes", move || vm.close_now());
        match owner.handle().call("eval", move |()| End::of(&session.run(()))) {
            Ok(end) => sees.saw(Some(end)),
            Err(CallError::Closed(_)) => sees.saw(None),
            Err(error) => panic!("{error}"),
        }
        closes.checked_join().unwrap();
    });
    assert_eq!(seen.all(), [None, Some(End::Answered), Some(End::Closed)]);
}

#[test]
fn a_shutdown_from_a_job_of_the_owner_is_an_error_and_closes_it() {
    verified(&Explorer::builder(), || {
        let owner = Arc::new(owner(WaitOnOwner::Detect));
        let (vm, inside) = (owner.handle(), owner.clone());
        let result = vm.call("job", move |()| inside.shutdown(Shutdown::Drain)).unwrap();
        assert!(matches!(result, Err(ShutdownError::OnOwner { .. })), "{result:?}");
        assert!(vm.is_closed());
    });
}

#[test]
fn two_owners_that_run_each_others_sessions_report_one_victim() {
    let seen = Seen::new();
    let sees = seen.clone();
    let explorer = Explorer::builder().allow_deadlock_errors(true);
    let report = explorer.explore(move || {
        let owners = ["a", "b"]
            .map(|name| Owner::builder(name).wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).unwrap());
        let victims = Count::default();
        let callers = [0, 1].map(|at| {
            let (to, victims) = (owners[1 - at].handle(), victims.clone());
            let session = Session::builder("s", &owners[at].handle()).engine(move |_: &Run<()>, ()| {
                let called = to.call("callback", |()| ());
                called.inspect_err(|error| match error {
                    CallError::Deadlock(_) => victims.up(),
                    other => panic!("{other}"),
                })
            });
            let vm = owners[at].handle();
            spawn("caller", move || vm.call("eval", move |()| session.run(()).is_ok()).unwrap())
        });
        let ended = callers.map(|caller| caller.checked_join().unwrap());
        let failed = ended.iter().filter(|ended| !**ended).count() as u32;
        assert!(victims.get() <= 1, "one cycle has one victim");
        assert_eq!(failed, victims.get(), "the other goes on");
        sees.saw(victims.get());
    });
    assert_eq!(report.verdict(), Verdict::Verified, "{report}");
    assert_eq!(seen.all(), [0, 1]);
}
