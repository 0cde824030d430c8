//! The answer to a call as a future, under executors and under none.
#![cfg(not(loom))]

mod common;

use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::{Notice, busy, until, within_a_minute};
use impasse::{CallError, Owner, Shutdown};

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Woken {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll<F: Future>(future: Pin<&mut F>, woken: &Arc<Woken>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(&Waker::from(woken.clone())))
}

#[test]
fn an_answer_wakes_whoever_polled_last_once() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| 42).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        let [first, last] = [(); 2].map(|()| Arc::new(Woken::default()));
        let mut answer = pin!(vm.call_async("look", |n| *n));
        assert!(poll(answer.as_mut(), &first).is_pending());
        assert!(poll(answer.as_mut(), &last).is_pending());
        assert_eq!(last.times(), 0, "woken before the answer was there");
        drop(held);
        until(|| last.times() > 0);
        assert_eq!(poll(answer.as_mut(), &last), Poll::Ready(Ok(42)));
        vm.wait_idle().unwrap();
        assert_eq!((first.times(), last.times()), (0, 1));
    });
}

#[test]
fn an_answer_that_is_there_is_ready_at_the_first_poll() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| 42).unwrap();
        let answer = owner.handle().call_async("look", |n| *n);
        owner.handle().wait_idle().unwrap();
        let woken = Arc::new(Woken::default());
        assert_eq!(poll(pin!(answer), &woken), Poll::Ready(Ok(42)));
        assert_eq!(woken.times(), 0);
    });
}

/// Many tasks, each with many calls, one after another.
async fn many_tasks(owner: &Owner<Cell<usize>>) {
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let vm = owner.handle();
            tokio::spawn(async move {
                for _ in 0..20 {
                    let (before, after) = vm
                        .call_async("count", |count| (count.replace(count.get() + 1), count.get()))
                        .await
                        .unwrap();
                    assert_eq!(before + 1, after);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(owner.handle().call_async("look", Cell::get).await, Ok(1000));
}

#[test]
fn calls_are_awaited_on_a_current_thread_runtime() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| Cell::new(0)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(many_tasks(&owner));
    });
}

#[test]
fn calls_are_awaited_on_a_multi_thread_runtime() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| Cell::new(0)).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
        runtime.block_on(many_tasks(&owner));
    });
}

#[test]
fn an_answer_dropped_before_the_job_has_begun_takes_it_back() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| Cell::new(0)).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        let (notice, is_dropped) = Notice::new();
        let answer = vm.call_async("unwanted", move |count| {
            let _captured = &notice;
            count.set(count.get() + 1);
        });
        assert!(is_dropped.try_recv().is_err());
        drop(answer);
        assert_eq!(is_dropped.try_recv(), Ok(thread::current().id()));
        drop(held);
        assert_eq!(vm.call("look", Cell::get), Ok(0), "a job that was taken back ran");
    });
}

#[test]
fn an_answer_dropped_after_the_job_has_begun_leaves_it_alone() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| Cell::new(0)).unwrap();
        let vm = owner.handle();
        let (begun, has_begun) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let (result, is_dropped) = Notice::new();
        let answer = vm.call_async("begun", move |count| {
            begun.send(()).unwrap();
            wait.recv().unwrap();
            count.set(count.get() + 1);
            result
        });
        has_begun.recv().unwrap();
        drop(answer);
        go.send(()).unwrap();
        is_dropped.recv().unwrap();
        assert_eq!(vm.call("look", Cell::get), Ok(1));
    });
}

#[test]
fn a_time_limit_of_the_executor_takes_the_job_back() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| Cell::new(0)).unwrap();
        let vm = owner.handle();
        let held = busy(&vm);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let late = runtime.block_on(async {
            let answer = vm.call_async("late", |count| count.set(1));
            tokio::time::timeout(Duration::from_millis(5), answer).await
        });
        assert!(late.is_err());
        drop(held);
        assert_eq!(vm.call("look", Cell::get), Ok(0));
    });
}

#[test]
fn an_answer_that_will_not_come_is_an_error() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(|| ()).unwrap();
        let vm = owner.handle();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let broken = runtime.block_on(vm.call_async("breaks", |()| panic!("broke")));
        assert!(matches!(broken, Err(CallError::Panicked(panicked)) if panicked.message == "broke"));
        let held = busy(&vm);
        let queued = vm.call_async("queued", |()| unreachable!("it was refused"));
        vm.close_now();
        let queued = runtime.block_on(queued);
        assert!(matches!(&queued, Err(CallError::Closed(closed)) if &*closed.owner == "vm"), "{queued:?}");
        let late = runtime.block_on(vm.call_async("late", |()| unreachable!("it was refused")));
        assert!(matches!(late, Err(CallError::Closed(_))));
        drop(held);
        owner.shutdown(Shutdown::Now).unwrap();
    });
}

#[test]
fn a_call_for_a_future_is_queued_even_by_a_job_of_the_owner() {
    within_a_minute(|| {
        let owner = Owner::builder("vm").spawn(RefCell::<Vec<_>>::default).unwrap();
        let vm = owner.handle();
        let inside = vm.clone();
        let answer = vm.call("outer", move |log| {
            let answer = inside.call_async("later", |log| log.borrow_mut().push("later"));
            log.borrow_mut().push("outer");
            answer
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(answer.unwrap()).unwrap();
        assert_eq!(vm.call("look", |log| log.borrow().clone()).unwrap(), ["outer", "later"]);
    });
}
