//! On whose behalf work of foreign threads and executors is done, on real threads.
#![cfg(not(loom))]

mod common;

use std::cell::RefCell;
use std::sync::{Arc, Mutex as StdMutex, mpsc};
use std::thread;
use std::time::Duration;

use common::{until_waits, within_a_minute};
use impasse::{CallError, Handle, Lineage, Owner, Run, RunError, Session, Stall, WaitOnOwner};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Log = RefCell<Vec<&'static str>>;

fn serving() -> Owner<Log> {
    Owner::builder("vm").wait_on_owner(WaitOnOwner::Serve).spawn(Log::default).unwrap()
}

fn note(vm: &Handle<Log>, entry: &'static str) -> Result<(), CallError> {
    vm.call("note", move |log| log.borrow_mut().push(entry))
}

/// A job of an owner that serves runs this engine, and another job is queued behind that; what ran in which order.
fn served(engine: impl Fn(&Run<Log>) -> Result<(), BoxError> + Send + Sync + 'static) -> Vec<&'static str> {
    within_a_minute(move || {
        let owner = serving();
        let vm = owner.handle();
        let unrelated = vm.clone();
        let session = Session::builder("s", &vm).engine(move |run: &Run<Log>, ()| {
            let unrelated = unrelated.clone();
            let post = move || unrelated.post("unrelated", |log| log.borrow_mut().push("unrelated"));
            thread::spawn(post).join().unwrap()?;
            engine(run)
        });
        vm.call("eval", move |log| {
            session.run(()).unwrap();
            log.borrow_mut().push("eval");
        })
        .unwrap();
        vm.call("look", |log| log.borrow().clone()).unwrap()
    })
}

#[test]
fn a_foreign_thread_that_adopts_the_lineage_is_served() {
    let ran = served(|run| {
        let (lineage, vm) = (Lineage::current(), run.owner().clone());
        thread::spawn(move || lineage.enter(|| note(&vm, "adopted"))).join().unwrap()?;
        Ok(())
    });
    assert_eq!(ran, ["adopted", "eval", "unrelated"]);
}

#[test]
fn a_lineage_is_left_again() {
    within_a_minute(|| {
        let owner = serving();
        let own = format!("{:?}", Lineage::current());
        assert_eq!(own, "[]");
        let inside = owner.handle().call("job", |_| Lineage::current()).unwrap();
        assert_ne!(format!("{inside:?}"), own);
        let entered = inside.enter(|| format!("{:?}", Lineage::current()));
        assert_eq!(entered, format!("{inside:?}"));
        assert_eq!(format!("{:?}", Lineage::current()), own);
        let panicked = std::panic::catch_unwind(|| inside.enter(|| std::panic::resume_unwind(Box::new(()))));
        assert!(panicked.is_err());
        assert_eq!(format!("{:?}", Lineage::current()), own, "left by unwinding too");
    });
}

/// The tasks of the runtime are polled by its own threads.
#[test]
fn a_future_that_follows_the_lineage_is_served() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let runtime = Arc::new(runtime);
    let on = runtime.clone();
    let ran = served(move |run| {
        let vm = run.owner().clone();
        let task = on.spawn(Lineage::current().follow(async move {
            vm.call_async("first", |log| log.borrow_mut().push("first")).await?;
            tokio::task::yield_now().await;
            vm.call_async("second", |log| log.borrow_mut().push("second")).await
        }));
        Ok(on.block_on(task)??)
    });
    assert_eq!(ran, ["first", "second", "eval", "unrelated"]);
    drop(runtime);
}

#[test]
fn a_cancelled_run_reaches_whoever_adopted_its_lineage() {
    within_a_minute(|| {
        let owner = serving();
        let lock = Arc::new(impasse::sync::Mutex::new(()));
        let held = lock.lock();
        let wanted = lock.clone();
        let session = Session::builder("adopts", &owner.handle()).engine(move |_: &Run<Log>, ()| {
            let (lineage, wanted) = (Lineage::current(), wanted.clone());
            let waits = move || lineage.enter(|| wanted.checked_lock().map(drop));
            thread::Builder::new().name("adopter".into()).spawn(waits)?.join().unwrap()?;
            Ok::<_, BoxError>(())
        });
        let run = session.start(()).unwrap();
        until_waits("thread `adopter`");
        assert!(run.cancel());
        assert!(matches!(run.wait(), Err(RunError::Cancelled(_))));
        drop(held);
    });
}

/// The awaited work is spread over a pool, and each part calls back.
#[test]
fn a_pool_inside_the_awaited_work_that_adopts_the_lineage_is_served() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let mut ran = served(move |run| {
        let (lineage, vm) = (Lineage::current(), run.owner());
        pool.scope(|scope| {
            for entry in ["a", "b", "c", "d"] {
                let lineage = &lineage;
                scope.spawn(move |_| lineage.enter(|| note(vm, entry).unwrap()));
            }
        });
        Ok(())
    });
    assert_eq!(ran[4..], ["eval", "unrelated"]);
    ran.truncate(4);
    ran.sort_unstable();
    assert_eq!(ran, ["a", "b", "c", "d"]);
}

/// Nobody can know that the part of the pool belongs to the run: what is not seen is not served, but it is told.
#[test]
fn a_pool_inside_the_awaited_work_without_lineage_is_not_served_and_the_stall_watch_names_it() {
    within_a_minute(|| {
        let (tell, stalls) = mpsc::channel::<Stall>();
        let owner = Owner::builder("vm")
            .wait_on_owner(WaitOnOwner::Serve)
            .stall_watch(Duration::from_millis(5), move |stall| tell.send(stall.clone()).unwrap())
            .spawn(Log::default)
            .unwrap();
        let vm = owner.handle();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let (ended, ends) = mpsc::channel::<&str>();
        let (release, ends) = (ended.clone(), StdMutex::new(ends));
        let ended = StdMutex::new(ended);
        let session = Session::builder("inference", &vm).engine(move |run: &Run<Log>, ()| {
            let (vm, ended) = (run.owner().clone(), ended.lock().unwrap().clone());
            pool.spawn(move || {
                vm.call("lost", |log| log.borrow_mut().push("lost")).unwrap();
                let _ = ended.send("the pool");
            });
            ends.lock().unwrap().recv()
        });
        let caller = {
            let vm = vm.clone();
            thread::spawn(move || {
                vm.call("eval", move |log| {
                    let ended_by = session.run(()).unwrap();
                    log.borrow_mut().push("eval");
                    ended_by
                })
            })
        };
        let stall = stalls.recv().unwrap();
        assert_eq!((&*stall.owner, stall.op.label), ("vm", "eval"));
        assert_eq!(stall.waits.unwrap().waits_for, "run #1 of session `inference`");
        assert_eq!(stall.queue.iter().map(|op| op.label).collect::<Vec<_>>(), ["lost"]);
        release.send("us").unwrap();
        assert_eq!(caller.join().unwrap(), Ok("us"), "the owner was served without lineage or need");
        let log = vm.call("look", |log| log.borrow().clone()).unwrap();
        assert_eq!(log, ["eval", "lost"]);
    });
}
