//! The acts of the model on a real owner.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use impasse::sync::Queue;
use impasse::{
    AfterPanic, Answer, CallError, Handle, Owner, PostError, Run, RunHandle, Session, Shutdown, Unrun,
    WaitError,
};
use proptest_state_machine::StateMachineTest;

use super::act::{Act, Does, Reference};
use super::model::{Log, Model, Shown};
use super::told::{Told, arrives, called, ended, poll, posted, settled};

/// Enough for everything.
const LONG: Duration = Duration::from_secs(600);

/// The how manieth it is, and what is logged.
struct State(u32, Arc<Mutex<Log>>);

impl State {
    fn log(&self, number: u32) {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).push((number, self.0));
    }
}

type Runs = Session<State, (), u32>;

pub struct Real {
    owner: Owner<State>,
    vm: Handle<State>,
    log: Arc<Mutex<Log>>,
    unrun: Arc<Mutex<Vec<(&'static str, Unrun)>>>,
    /// Ends the job that holds the owner.
    release: Option<mpsc::Sender<()>>,
    answers: Vec<Answer<u32>>,
    senders: Vec<JoinHandle<Result<(), PostError>>>,
    session: Runs,
    /// Tells the run its number.
    tells: Arc<Queue<u32>>,
    run: Option<RunHandle<State, u32>>,
    canceller: Option<impasse::Canceller>,
}

fn panics() -> ! {
    std::panic::resume_unwind(Box::new("meant"))
}

/// Calls down to the given depth, each level from inside the one above.
fn descend(
    vm: Handle<State>,
    state: &State,
    number: u32,
    depth: u32,
    breaks: bool,
) -> Result<u32, CallError> {
    state.log(number);
    if depth == 0 {
        if breaks {
            panics();
        }
        return Ok(number);
    }
    let deeper = vm.clone();
    vm.call("deeper", move |state| descend(deeper, state, number + 1, depth - 1, breaks))?
}

impl StateMachineTest for Real {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(model: &Model) -> Self {
        let (log, unrun) = (Arc::<Mutex<Log>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (told, logged, replaces) = (unrun.clone(), log.clone(), model.replaces);
        let builder = Owner::builder("vm")
            .wait_on_owner(model.policy)
            .on_unrun(move |op, why| told.lock().unwrap().push((op.label, why)))
            .on_panic(move |state: &State, _: &_| match replaces {
                true => AfterPanic::Replace(State(state.0 + 1, state.1.clone())),
                false => AfterPanic::Continue,
            });
        let builder = match model.capacity {
            Some(capacity) => builder.capacity(capacity),
            None => builder,
        };
        let owner = builder.spawn(move || State(0, logged)).unwrap();
        let (vm, tells) = (owner.handle(), Arc::new(Queue::new()));
        let told = tells.clone();
        let session = Session::builder("session", &vm).engine(move |run: &Run<State>, ()| {
            let number = told.pop()?;
            run.call("callback", move |state| state.log(number))?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(number)
        });
        let (answers, senders) = (Vec::new(), Vec::new());
        let (release, run, canceller) = (None, None, None);
        Self { owner, vm, log, unrun, release, answers, senders, session, tells, run, canceller }
    }

    fn apply(mut real: Self, model: &Model, act: Act) -> Self {
        assert_eq!(real.act(act), model.told);
        real.shows(&model.shown);
        real
    }

    fn teardown(mut real: Self, mut model: Model) {
        if model.is_held() {
            model.apply(&Act::Release);
            assert_eq!(real.act(Act::Release), model.told);
            real.shows(&model.shown);
        }
        model.apply(&Act::Close);
        assert_eq!(real.act(Act::Shutdown(Shutdown::Drain)), model.told);
        real.shows(&model.shown);
    }
}

impl Real {
    /// What can be seen, as soon as all is at rest.
    fn shows(&self, expected: &Shown) {
        let sorted = |unrun: &[(&'static str, Unrun)]| {
            let mut labels: Vec<_> = unrun.iter().map(|(label, why)| format!("{label} {why}")).collect();
            labels.sort();
            labels
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            if self.release.is_none() {
                assert_eq!(self.vm.wait_idle(), Ok(()));
            }
            let (queued, closed, runs) =
                (self.vm.len(), self.vm.is_closed(), self.session.active().is_some());
            let (log, unrun) = (self.log.lock().unwrap().clone(), self.unrun.lock().unwrap().clone());
            let shown = Shown { log, unrun, queued, closed, runs };
            let is_so = shown == Shown { unrun: shown.unrun.clone(), ..expected.clone() }
                && sorted(&shown.unrun) == sorted(&expected.unrun);
            if is_so {
                return;
            }
            assert!(Instant::now() < deadline, "it stays {shown:#?}\nand should be {expected:#?}");
            thread::yield_now();
        }
    }

    fn act(&mut self, act: Act) -> Vec<Told> {
        let vm = self.vm.clone();
        let told = match act {
            Act::Hold(number) => {
                let ((go, wait), (begins, begun)) = (mpsc::channel::<()>(), mpsc::channel());
                let held = vm.post("hold", move |state| {
                    state.log(number);
                    begins.send(()).unwrap();
                    let _ = wait.recv();
                });
                // Dropped if it was refused.
                self.release = begun.recv().is_ok().then_some(go);
                posted(held)
            }
            Act::Release => {
                self.release = None;
                return self.all_are_told();
            }
            Act::Call { number, depth, panics } => {
                let inner = vm.clone();
                called(
                    vm.call("call", move |state| descend(inner, state, number, depth, panics))
                        .and_then(|n| n),
                )
            }
            Act::CallTimeout(number) => {
                let timeout = if self.release.is_some() { Duration::ZERO } else { LONG };
                called(vm.call_timeout("call_timeout", timeout, move |state| {
                    state.log(number);
                    number
                }))
            }
            Act::CallAsync { number, drops } => {
                let mut answer = vm.call_async("call_async", move |state| {
                    state.log(number);
                    number
                });
                if self.release.is_some() && !vm.is_closed() {
                    if !drops {
                        assert!(poll(&mut answer).is_pending());
                        self.answers.push(answer);
                    }
                    Told::Done
                } else {
                    arrives(answer)
                }
            }
            Act::DropAnswers => {
                self.answers.clear();
                Told::Done
            }
            Act::FromAThread(number) => {
                let inner = vm.clone();
                let from_a_thread = move |state: &State| {
                    state.log(number);
                    number
                };
                let calls =
                    move |_: &State| thread::spawn(move || inner.call("from a thread", from_a_thread));
                called(vm.call("start a thread", calls).and_then(|thread| thread.join().unwrap()))
            }
            Act::WaitIdleOnOwner => {
                let inner = vm.clone();
                match vm.call("wait_idle", move |_| inner.wait_idle()) {
                    Ok(Err(WaitError::Deadlock(_))) => Told::Deadlock,
                    other => called(other.map(|waited| panic!("{waited:?}"))),
                }
            }
            Act::Post(number, does) => {
                let inner = vm.clone();
                posted(vm.post("post", move |state| {
                    state.log(number);
                    match does {
                        Does::Nothing => {}
                        // Refused if there is no room.
                        Does::Posts => drop(inner.post("post of a post", move |state| state.log(number + 1))),
                        Does::Panics => panics(),
                    }
                }))
            }
            Act::PostWithin { number, expires } => {
                let timeout = if expires { Duration::ZERO } else { LONG };
                posted(vm.post_within("post_within", timeout, move |state| state.log(number)))
            }
            Act::PostWait(number) => return self.post_wait(number),
            Act::Close => {
                vm.close();
                self.run_is_over();
                Told::Done
            }
            Act::CloseNow => {
                vm.close_now();
                self.run_is_over();
                return self.all_are_told();
            }
            Act::Shutdown(how) => {
                assert_eq!(self.owner.shutdown(how), Ok(()));
                self.run_is_over();
                if how == Shutdown::Now {
                    return Vec::new();
                }
                Told::Done
            }
            Act::Start { number, settles } => match self.session.start(()) {
                Err(error) => ended(Err(error)),
                Ok(run) => {
                    self.canceller = Some(run.canceller());
                    if settles {
                        let settle = move |state: &State, result| state.log(settled(number, ended(result)));
                        run.on_settled("settled", settle).unwrap();
                    } else {
                        self.run = Some(run);
                    }
                    Told::Done
                }
            },
            Act::Finish(number) => {
                if self.session.active().is_none() {
                    return Vec::new();
                }
                self.tells.push(number);
                return self.run.take().map(|run| ended(run.wait())).into_iter().collect();
            }
            Act::Cancel => {
                if let Some(canceller) = self.canceller.take() {
                    canceller.cancel();
                }
                return self.run.take().map(|run| ended(run.wait())).into_iter().collect();
            }
            Act::RunTimeout { number, in_time } => {
                // Told in advance; taken back if there is no run.
                if in_time && self.session.active().is_none() {
                    self.tells.push(number);
                }
                let told = ended(
                    self.session.run_timeout(if in_time { LONG } else { Duration::from_millis(1) }, ()),
                );
                if told == Told::Closed {
                    self.tells.try_pop();
                }
                told
            }
            Act::RunOnOwner(number) => {
                let active = self.session.active().is_some();
                if !active {
                    self.tells.push(number);
                }
                let session = self.session.clone();
                let told = match vm.call("eval", move |_| session.run(())) {
                    Ok(result) => ended(result),
                    Err(error) => called(Err(error)),
                };
                if !active {
                    self.tells.try_pop();
                }
                told
            }
        };
        vec![told]
    }

    fn post_wait(&mut self, number: u32) -> Vec<Told> {
        let (vm, before) = (self.vm.clone(), self.vm.len());
        let sender = thread::spawn(move || vm.post_wait("post_wait", move |state| state.log(number)));
        // In line, if it does not return.
        while !sender.is_finished() && (self.release.is_none() || self.vm.len() == before) {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(1));
        if self.release.is_none() || sender.is_finished() {
            return vec![posted(sender.join().unwrap())];
        }
        self.senders.push(sender);
        Vec::new()
    }

    /// What those are told who have waited.
    fn all_are_told(&mut self) -> Vec<Told> {
        let answers = self.answers.drain(..).map(arrives);
        answers.chain(self.senders.drain(..).map(|sender| posted(sender.join().unwrap()))).collect()
    }

    /// The owner has been closed, and its run with it.
    fn run_is_over(&mut self) {
        if let Some(run) = self.run.take() {
            assert_eq!(ended(run.wait()), Told::Closed);
        }
    }
}
