//! What an owner under `Serve` runs while it waits, in every interleaving: the twelve shapes on which other rules
//! (the innermost run's jobs, any run's, lineage alone) deadlock or run what nobody needs.
//!
//! Every job asserts that it may run where it runs, so a job that is not needed and runs in the middle of another is a
//! panic, and a job that is needed and does not run is a hang. Where a job is served by need alone the explorer does
//! not claim to have seen every order of such news; the verdict is `truncated` then, and nothing is wrong with what it
//! explored.
#![cfg(not(loom))]

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use impasse::explore::{Explorer, Report, Verdict};
use impasse::thread::{self, JoinHandle};
use impasse::{CallError, Handle, Lineage, Owner, Run, Session, WaitError, WaitOnOwner};

/// An owner's state: how many of its jobs wait on its stack.
#[derive(Default)]
struct Vm {
    waiting: Cell<u32>,
}

impl Vm {
    /// Waits in the middle of a job.
    fn waits<R>(&self, wait: impl FnOnce() -> R) -> R {
        self.waiting.set(self.waiting.get() + 1);
        let result = wait();
        self.waiting.set(self.waiting.get() - 1);
        result
    }

    /// A job runs that nothing an owner waits for has to do with.
    fn is_unrelated(&self) {
        assert_eq!(self.waiting.get(), 0, "an unrelated job runs in the middle of another");
    }
}

fn owner(name: &str) -> Owner<Vm> {
    Owner::builder(name).wait_on_owner(WaitOnOwner::Serve).spawn(Vm::default).unwrap()
}

/// A session of one run, which does this.
fn session<E>(
    name: &str,
    owner: &Handle<Vm>,
    engine: impl Fn(&Run<Vm>) -> Result<(), E> + Send + Sync + 'static,
) -> Session<Vm, (), ()>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Session::builder(name, owner).engine(move |run: &Run<Vm>, ()| engine(run))
}

/// A run that makes one call, with nothing to do in it.
fn calling(name: &str, of: &Handle<Vm>, to: &Handle<Vm>) -> Session<Vm, (), ()> {
    let to = to.clone();
    session::<CallError>(name, of, move |_| to.call("callback", |_| ()))
}

/// A job that waits for a run of this session.
fn run(session: &Session<Vm, (), ()>) -> impl FnOnce(&Vm) + Send + 'static {
    let session = session.clone();
    move |vm| vm.waits(|| session.run(())).unwrap()
}

/// A thread that calls this job.
fn caller(name: &str, to: &Handle<Vm>, job: impl FnOnce(&Vm) + Send + 'static) -> JoinHandle<()> {
    let to = to.clone();
    thread::spawn_named(name, move || to.call("job", job).unwrap()).unwrap()
}

/// A thread to be joined by whoever comes to it.
#[derive(Clone, Default)]
struct Joined(Arc<Mutex<Option<JoinHandle<()>>>>);

impl Joined {
    fn put(&self, thread: JoinHandle<()>) {
        *self.0.lock().unwrap() = Some(thread);
    }

    fn join(&self) -> Result<(), WaitError> {
        let thread = self.0.lock().unwrap().take();
        thread.map_or(Ok(()), JoinHandle::checked_join)
    }
}

fn explored(body: impl Fn() + Send + Sync + 'static) -> Report {
    Explorer::builder().explore(body)
}

#[track_caller]
fn assert_served_by_lineage(report: &Report) {
    assert_eq!((report.verdict(), report.deadlocked()), (Verdict::Verified, 0), "{report}");
}

/// Nothing went wrong, and the only reservation is that of need.
#[track_caller]
fn assert_served_by_need(report: &Report) {
    assert_eq!((report.verdict(), report.deadlocked()), (Verdict::Truncated, 0), "{report}");
    assert!(report.limit().unwrap().contains("only because somebody needed it"), "{report}");
}

#[test]
fn the_callback_of_the_awaited_run() {
    assert_served_by_lineage(&explored(|| {
        let a = owner("a");
        let x = calling("x", &a.handle(), &a.handle());
        a.handle().call("a1", run(&x)).unwrap();
    }));
}

#[test]
fn two_owners_that_wait_crosswise() {
    assert_served_by_need(&explored(|| {
        let (a, b) = (owner("a"), owner("b"));
        let x = calling("x", &a.handle(), &b.handle());
        let y = calling("y", &b.handle(), &a.handle());
        let other = caller("other", &b.handle(), run(&y));
        a.handle().call("a1", run(&x)).unwrap();
        other.checked_join().unwrap();
    }));
}

#[test]
fn another_owner_calls_back_below_a_run() {
    assert_served_by_lineage(&explored(|| {
        let (a, b) = (owner("a"), owner("b"));
        let (to_a, to_b) = (a.handle(), b.handle());
        let x = session::<CallError>("x", &a.handle(), move |_| {
            let to_a = to_a.clone();
            to_b.call("b1", move |b: &Vm| b.waits(|| to_a.call("a2", |_| ())))?
        });
        a.handle().call("a1", run(&x)).unwrap();
    }));
}

#[test]
fn another_owner_calls_back_without_a_run() {
    assert_served_by_lineage(&explored(|| {
        let (a, b) = (owner("a"), owner("b"));
        let (to_a, to_b) = (a.handle(), b.handle());
        let a1 = move |a: &Vm| a.waits(|| to_b.call("b1", move |b: &Vm| b.waits(|| to_a.call("a2", |_| ()))));
        a.handle().call("a1", a1).unwrap().unwrap().unwrap();
    }));
}

/// The run starts a thread and calls back; the callback waits, in the way it is given, for that thread, which calls
/// back too.
fn sibling(waits: impl Fn(&Vm, &Handle<Vm>, Joined) + Clone + Send + Sync + 'static) {
    let a = owner("a");
    let x = session("x", &a.handle(), move |run| {
        let (a, sibling) = (run.owner().clone(), Joined::default());
        let to_a = a.clone();
        sibling.put(thread::spawn_named("sibling", move || to_a.call("cb2", |_| ()).unwrap()).unwrap());
        let waits = waits.clone();
        a.clone().call("cb1", move |vm| waits(vm, &a, sibling))
    });
    a.handle().call("a1", run(&x)).unwrap();
}

#[test]
fn a_served_job_runs_what_joins_a_sibling_that_calls_back() {
    assert_served_by_lineage(&explored(|| {
        sibling(|vm, a, sibling| {
            let y = session("y", a, move |_| sibling.join());
            vm.waits(|| y.run(())).unwrap();
        });
    }));
}

/// The sibling's call belongs to the awaited run, but the innermost wait is a join, so the graph calls it needed.
#[test]
fn a_served_job_joins_a_sibling_that_calls_back() {
    assert_served_by_need(&explored(|| {
        sibling(|vm, _, sibling| vm.waits(|| sibling.join()).unwrap());
    }));
}

#[test]
fn a_served_job_calls_another_owner_that_calls_back() {
    assert_served_by_lineage(&explored(|| {
        let (a, b) = (owner("a"), owner("b"));
        let (to_a, to_b) = (a.handle(), b.handle());
        let x = session("x", &a.handle(), move |run| {
            let (to_a, to_b) = (to_a.clone(), to_b.clone());
            let b1 = move |b: &Vm| b.waits(|| to_a.call("a2", |_| ())).unwrap();
            run.call("cb1", move |a| a.waits(|| to_b.call("b1", b1)))?
        });
        a.handle().call("a1", run(&x)).unwrap();
    }));
}

#[test]
fn the_run_joins_a_thread_that_has_lost_its_lineage() {
    assert_served_by_need(&explored(|| {
        let a = owner("a");
        let x = session("x", &a.handle(), |run| {
            let a = run.owner().clone();
            let calls = move || Lineage::default().enter(|| a.call("cb", |_| ()).unwrap());
            thread::spawn_named("foreign", calls).unwrap().checked_join()
        });
        a.handle().call("a1", run(&x)).unwrap();
    }));
}

#[test]
fn an_unrelated_job_beside_the_callback_runs_after() {
    assert_served_by_lineage(&explored(|| {
        let a = owner("a");
        let unrelated = caller("unrelated", &a.handle(), Vm::is_unrelated);
        let x = calling("x", &a.handle(), &a.handle());
        a.handle().call("a1", run(&x)).unwrap();
        unrelated.checked_join().unwrap();
    }));
}

#[test]
fn the_run_waits_for_work_that_was_started_elsewhere() {
    assert_served_by_need(&explored(|| {
        let (a, elsewhere) = (owner("a"), Joined::default());
        elsewhere.put(caller("elsewhere", &a.handle(), |_| ()));
        let x = session("x", &a.handle(), move |_| elsewhere.join());
        a.handle().call("a1", run(&x)).unwrap();
    }));
}

#[test]
fn an_unrelated_job_does_not_run_while_a_run_needs_nothing() {
    assert_served_by_lineage(&explored(|| {
        let a = owner("a");
        let unrelated = caller("unrelated", &a.handle(), Vm::is_unrelated);
        let x = session::<CallError>("x", &a.handle(), |_| Ok(()));
        a.handle().call("a1", run(&x)).unwrap();
        unrelated.checked_join().unwrap();
    }));
}

#[test]
fn three_owners_that_wait_crosswise() {
    assert_served_by_need(&explored(|| {
        let owners = ["a", "b", "c"].map(owner);
        let handle = |at: usize| owners[at % 3].handle();
        let names = ["x", "y", "w"];
        let callers = [0, 1, 2].map(|at| {
            let session = calling(names[at], &handle(at), &handle(at + 1));
            caller(names[at], &handle(at), run(&session))
        });
        callers.into_iter().for_each(|caller| caller.checked_join().unwrap());
    }));
}
