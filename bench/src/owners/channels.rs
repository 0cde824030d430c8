//! The parts that channel libraries offer: the unbounded queue of each, and for the reply its oneshot channel,
//! or else the smallest that it has.

use std::sync::mpsc;

use super::parts::{Job, Parts};

/// Parts whose methods have the names that nearly all libraries give them.
macro_rules! parts {
    (
        $(#[$meta:meta])*
        $name:ident,
        queue: $queue:expr => $sender:ty, $receiver:ty,
        next: $next:ident,
        reply: $reply:expr => $replier:ty, $reader:ty,
        wait: $wait:ident
    ) => {
        $(#[$meta])*
        pub struct $name;

        impl Parts for $name {
            type Sender = $sender;
            type Receiver = $receiver;
            type Replier = $replier;
            type Reply = $reader;

            fn queue() -> (Self::Sender, Self::Receiver) {
                $queue
            }

            fn send(queue: &Self::Sender, job: Job) {
                assert!(queue.send(job).is_ok(), "the owner is open");
            }

            fn next(queue: &mut Self::Receiver) -> Option<Job> {
                // An error or nothing, as the library has it: the senders are gone.
                queue.$next().into_iter().next()
            }

            fn reply() -> (Self::Replier, Self::Reply) {
                $reply
            }

            fn answer(replier: Self::Replier, value: u64) {
                assert!(replier.send(value).is_ok(), "the caller waits");
            }

            fn wait(reply: Self::Reply) -> u64 {
                reply.$wait().expect("the owner answers")
            }
        }
    };
}

parts! {
    Std,
    queue: mpsc::channel() => mpsc::Sender<Job>, mpsc::Receiver<Job>,
    next: recv,
    reply: mpsc::channel() => mpsc::Sender<u64>, mpsc::Receiver<u64>,
    wait: recv
}

parts! {
    /// With the reply of the crate `oneshot`: crossbeam has none.
    Crossbeam,
    queue: crossbeam_channel::unbounded() => crossbeam_channel::Sender<Job>, crossbeam_channel::Receiver<Job>,
    next: recv,
    reply: oneshot::channel() => oneshot::Sender<u64>, oneshot::Receiver<u64>,
    wait: recv
}

parts! {
    Flume,
    queue: flume::unbounded() => flume::Sender<Job>, flume::Receiver<Job>,
    next: recv,
    reply: flume::bounded(1) => flume::Sender<u64>, flume::Receiver<u64>,
    wait: recv
}

parts! {
    Kanal,
    queue: kanal::unbounded() => kanal::Sender<Job>, kanal::Receiver<Job>,
    next: recv,
    reply: kanal::bounded(1) => kanal::Sender<u64>, kanal::Receiver<u64>,
    wait: recv
}

parts! {
    /// On plain threads, which block: both sides wait as tokio would have them wait outside its runtime.
    Tokio,
    queue: tokio::sync::mpsc::unbounded_channel()
        => tokio::sync::mpsc::UnboundedSender<Job>, tokio::sync::mpsc::UnboundedReceiver<Job>,
    next: blocking_recv,
    reply: tokio::sync::oneshot::channel()
        => tokio::sync::oneshot::Sender<u64>, tokio::sync::oneshot::Receiver<u64>,
    wait: blocking_recv
}
