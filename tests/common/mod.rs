//! What the tests on real threads share.

// Each test target uses its own part of it.
#![allow(dead_code)]

use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use impasse::{Handle, waiting_tasks};

/// Runs `body` on a thread of its own and fails if it does not come back: a hang is a failure with a name.
pub fn within_a_minute<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    within(Duration::from_secs(60), body)
}

/// The same, within this time.
pub fn within<R: Send + 'static>(time: Duration, body: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || done.send(body()));
    match ended.recv_timeout(time) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("the thread sends before it ends"),
        },
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let waiting = waiting_tasks();
            panic!("hangs; who waits for whom: {waiting:#?}")
        }
    }
}

/// Lets others go on until it is so.
pub fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::sleep(Duration::from_micros(100));
    }
}

/// How many tasks wait for this.
pub fn how_many_wait_for(what: &str) -> usize {
    waiting_tasks().iter().filter(|waiting| waiting.waits_for == what).count()
}

/// Lets others go on until some task waits for this.
pub fn until_waited_for(what: &str) {
    until(|| how_many_wait_for(what) > 0);
}

/// Lets others go on until this task waits.
pub fn until_waits(task: &str) {
    until(|| waiting_tasks().iter().any(|waiting| waiting.task == task));
}

/// Keeps an owner in a job, until this is dropped.
#[must_use]
pub struct Busy(mpsc::Sender<()>);

/// Keeps the owner in a job, which has begun when this returns, and was the last one that the owner has taken.
pub fn busy<T>(owner: &Handle<T>) -> Busy {
    let (begun, has_begun) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let job = move |_: &T| {
        begun.send(()).unwrap();
        let _ = wait.recv();
    };
    owner.post("busy", job).unwrap();
    has_begun.recv().unwrap();
    Busy(go_on)
}

/// Tells on which thread it was dropped.
pub struct Notice(pub mpsc::Sender<ThreadId>);

impl Notice {
    /// One, and where it is told.
    pub fn new() -> (Self, mpsc::Receiver<ThreadId>) {
        let (dropped, is_dropped) = mpsc::channel();
        (Self(dropped), is_dropped)
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}
