//! The protocol that every embedder of something single-threaded runs, under each policy: what is proved of it.

use std::cell::Cell;

use crate::explore::Verdict;
use crate::thread;
use crate::{CallError, Handle, Owner, Run, RunError, Session, WaitOnOwner};

/// What is run, and where the blocking run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Configuration {
    /// A job on the owner runs a session and waits; the run's callbacks call the owner.
    OwnerRun(WaitOnOwner),
    /// The same, but what waits is a thread that is not the owner.
    OffOwnerRun,
    /// A job on the owner starts the runs; each settles its promise on the owner.
    Start,
}

/// How big it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) sessions: usize,
    pub(super) callbacks: usize,
}

impl Configuration {
    pub(super) const ALL: [Self; 6] = [
        Self::OwnerRun(WaitOnOwner::Block),
        Self::OwnerRun(WaitOnOwner::Detect),
        Self::OwnerRun(WaitOnOwner::Reject),
        Self::OwnerRun(WaitOnOwner::Serve),
        Self::OffOwnerRun,
        Self::Start,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OwnerRun(_) => "owner-run",
            Self::OffOwnerRun => "off-owner-run",
            Self::Start => "start",
        }
    }

    /// What a wait on the owner does in it.
    pub(super) fn policy(self) -> WaitOnOwner {
        match self {
            Self::OwnerRun(policy) => policy,
            Self::OffOwnerRun | Self::Start => WaitOnOwner::default(),
        }
    }

    /// What is expected of every interleaving.
    pub(super) fn expected(self) -> Verdict {
        match self {
            Self::OwnerRun(WaitOnOwner::Block) => Verdict::Deadlock,
            _ => Verdict::Verified,
        }
    }

    /// Whether a deadlock closes in every execution: the bug itself, or reported and survived.
    pub(super) fn deadlocks(self) -> bool {
        matches!(self, Self::OwnerRun(WaitOnOwner::Block | WaitOnOwner::Detect))
    }

    /// How many jobs each session has for the owner.
    pub(super) fn jobs(self, size: Size) -> usize {
        match self {
            // Its evaluation, and the callbacks that are served inside.
            Self::OwnerRun(WaitOnOwner::Serve) | Self::Start => size.callbacks + 1,
            // Its evaluation, and the callback whose call is the end of it.
            Self::OwnerRun(WaitOnOwner::Block | WaitOnOwner::Detect) => 2,
            Self::OwnerRun(WaitOnOwner::Reject) | Self::OffOwnerRun => size.callbacks,
        }
    }

    /// How many classes of executions there are; `None` where the bug cuts the protocol short.
    ///
    /// Where every session queues J jobs one after the other, all orders of them: (S J)! / (J!)^S. Under `Serve`
    /// the owner runs one evaluation at a time, in the order in which they came (S! orders). All callbacks follow
    /// each other, those of a session followed by the end of its run, and its evaluation is queued before them:
    /// with n = K + 2 that gives the Fuss-Catalan number (n S)! / (S! (n S - S + 1)!). Each run may end before or
    /// after its owner, which has just served the last callback, looks again (2^S); and the job of the unrelated
    /// poster comes anywhere among the n S others.
    pub(super) fn classes(self, size: Size) -> Option<u64> {
        let (s, j) = (size.sessions as u64, self.jobs(size) as u64);
        match self {
            Self::OwnerRun(WaitOnOwner::Block | WaitOnOwner::Detect) => None,
            Self::OwnerRun(WaitOnOwner::Serve) => {
                let n = j + 1;
                let evaluations = (n * s - s + 2..=n * s).product::<u64>();
                Some((evaluations << s) * (n * s + 1))
            }
            _ => {
                let factors = (1..s).flat_map(|before| (1..=j).map(move |job| (before * j + job, job)));
                Some(factors.fold(1, |orders, (more, same)| orders * more / same))
            }
        }
    }

    /// The protocol, as it is explored.
    pub(super) fn body(self, size: Size) -> Box<dyn Fn() + Send + Sync> {
        match self {
            Self::OwnerRun(policy) => Box::new(move || owner_run(policy, size)),
            Self::OffOwnerRun => Box::new(move || off_owner_run(size)),
            Self::Start => Box::new(move || start(size)),
        }
    }
}

/// The owner's state: what is still to come, and what must not be interrupted.
struct Vm {
    jobs: Cell<usize>,
    evaluating: Cell<bool>,
    settled: Vec<Cell<usize>>,
}

impl Vm {
    fn new(jobs: usize, sessions: usize) -> Self {
        Self { jobs: Cell::new(jobs), evaluating: Cell::new(false), settled: vec![Cell::new(0); sessions] }
    }

    /// One of the jobs that were to come is done; the last one closes the owner.
    fn done(&self, owner: &Handle<Self>) {
        self.jobs.set(self.jobs.get() - 1);
        if self.jobs.get() == 0 {
            owner.close();
        }
    }
}

/// A session whose runs call back to the owner so many times, one after the other.
fn session(
    vm: &Handle<Vm>,
    callbacks: usize,
    job: impl Fn(&Vm) + Clone + Send + Sync + 'static,
) -> Session<Vm, (), ()> {
    let engine = move |run: &Run<Vm>, ()| (0..callbacks).try_for_each(|_| run.call("callback", job.clone()));
    Session::builder("inference", vm).engine::<_, _, CallError>(engine)
}

fn owner_run(policy: WaitOnOwner, size: Size) {
    let posts = usize::from(policy == WaitOnOwner::Serve);
    // Rejected runs can be tried again and again; the others once, with all their callbacks inside.
    let evaluations = if policy == WaitOnOwner::Reject { size.callbacks } else { 1 };
    let vm_state = Vm::new(size.sessions * evaluations + posts, size.sessions);
    let (vm, main_loop) = Owner::builder("vm").wait_on_owner(policy).attach(vm_state);
    for _ in 0..size.sessions {
        let vm = vm.clone();
        let body = move || {
            for _ in 0..evaluations {
                evaluate(&vm, policy, size.callbacks);
            }
        };
        drop(thread::spawn_named("session", body).expect("an explored thread is a coroutine"));
    }
    if posts > 0 {
        let vm = vm.clone();
        let body = move || {
            let end = vm.clone();
            let post = move |vm: &Vm| {
                assert!(!vm.evaluating.get(), "an unrelated job ran inside of an evaluation");
                vm.done(&end);
            };
            vm.post("unrelated", post).expect("the owner waits for this job");
        };
        drop(thread::spawn_named("poster", body).expect("an explored thread is a coroutine"));
    }
    main_loop.run();
}

/// One evaluation on the owner, which runs a session and waits for it.
fn evaluate(vm: &Handle<Vm>, policy: WaitOnOwner, callbacks: usize) {
    let session = session(vm, callbacks, move |vm: &Vm| {
        assert!(
            vm.evaluating.get() && policy == WaitOnOwner::Serve,
            "a callback ran outside of its evaluation"
        );
    });
    let end = vm.clone();
    let evaluation = move |vm: &Vm| {
        vm.evaluating.set(true);
        let result = session.run(());
        vm.evaluating.set(false);
        match (policy, result) {
            (WaitOnOwner::Detect, Err(RunError::Deadlock(deadlock))) => assert_eq!(deadlock.hops().len(), 2),
            (WaitOnOwner::Reject, Err(RunError::WaitOnOwner { .. })) | (WaitOnOwner::Serve, Ok(())) => {}
            (policy, other) => panic!("under {policy:?} the run ended with {other:?}"),
        }
        vm.done(&end);
    };
    vm.call("eval", evaluation).expect("the owner runs what it accepts");
}

fn off_owner_run(size: Size) {
    let (vm, main_loop) = Owner::builder("vm").attach(Vm::new(0, size.sessions));
    let run = |_| {
        let session = session(&vm, size.callbacks, |_| ());
        let body = move || session.run(()).expect("nothing is in the way of a run off the owner");
        thread::spawn_named("session", body).expect("an explored thread is a coroutine")
    };
    let runs: Vec<_> = (0..size.sessions).map(run).collect();
    // A run that goes on when its owner is closed is cancelled: whoever closes waits for all.
    let close = move || {
        runs.into_iter().for_each(|run| run.checked_join().expect("nobody waits for the one that joins"));
        vm.close();
    };
    drop(thread::spawn_named("closer", close).expect("an explored thread is a coroutine"));
    main_loop.run();
}

fn start(size: Size) {
    let (vm, main_loop) = Owner::builder("vm").attach(Vm::new(size.sessions, size.sessions));
    let handle = vm.clone();
    let evaluation = move |_: &Vm| {
        for promise in 0..size.sessions {
            let run =
                session(&handle, size.callbacks, |_| ()).start(()).expect("an explored run is a coroutine");
            let end = handle.clone();
            let settle = move |vm: &Vm, result: Result<(), RunError>| {
                assert!(result.is_ok(), "the run ended with {result:?}");
                let settled = &vm.settled[promise];
                settled.set(settled.get() + 1);
                assert_eq!(settled.get(), 1, "a promise was settled twice");
                vm.done(&end);
            };
            run.on_settled("settle", settle).expect("the owner is open");
        }
    };
    vm.post("eval", evaluation).expect("the owner is open");
    main_loop.run();
}
