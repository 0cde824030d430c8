//! An owner built from somebody's queue and somebody's reply, with boxed jobs.

use std::thread;

use super::owner::Owner;
use crate::cpu::{self, Cpu};

pub type Job = Box<dyn FnOnce(&mut u64) + Send>;

/// A queue for many senders and one receiver, and a reply that is given once.
pub trait Parts: 'static {
    type Sender: Send + Sync + 'static;
    type Receiver: Send + 'static;
    type Replier: Send + 'static;
    type Reply;

    fn queue() -> (Self::Sender, Self::Receiver);

    fn send(queue: &Self::Sender, job: Job);

    /// Waits for a job; `None` when nobody can send any more.
    fn next(queue: &mut Self::Receiver) -> Option<Job>;

    fn reply() -> (Self::Replier, Self::Reply);

    fn answer(replier: Self::Replier, value: u64);

    fn wait(reply: Self::Reply) -> u64;
}

/// The owner. Its thread ends with the queue, or with the process.
pub struct Built<P: Parts>(P::Sender);

impl<P: Parts> Owner for Built<P> {
    fn spawn(cpu: Option<Cpu>) -> Self {
        let (sender, mut receiver) = P::queue();
        thread::spawn(move || {
            if let Some(cpu) = cpu {
                cpu::pin(cpu).expect("the processor was there a moment ago");
            }
            let mut state = 0;
            while let Some(job) = P::next(&mut receiver) {
                job(&mut state);
            }
        });
        Self(sender)
    }

    fn call(&self, job: impl FnOnce(&mut u64) -> u64 + Send + 'static) -> u64 {
        let (replier, reply) = P::reply();
        P::send(&self.0, Box::new(move |state| P::answer(replier, job(state))));
        P::wait(reply)
    }

    fn post(&self, job: impl FnOnce(&mut u64) + Send + 'static) {
        P::send(&self.0, Box::new(job));
    }
}
