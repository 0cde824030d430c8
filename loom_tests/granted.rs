//! A wait that is over, and one that has not begun to last: its edge can be seen, and no verdict rests on it.
//!
//! None of these models can come to a deadlock, in whatever order it goes, so nobody may be refused. An edge is taken
//! back after what its task waited for was given, and in between another task looks. And it must not be published before
//! its task has come to where the others meet it (a barrier, a channel).

use std::sync::Arc;

use impasse::sync::channel::{Receiver, RecvError, bounded};
use impasse::sync::{Barrier, End, Mutex};
use impasse::{Deadlock, Owner, PostError, WaitOnOwner, select};
use loom::thread;

use crate::kinds::{ended, holds_and_wants, one_victim, received};
use crate::runner::{Search, properties};

properties! {
    in granted, "nobody waits for ever";
    /// It takes the item that another has sent, who is gone then; whoever is left to send waits for a lock of it.
    an_item_that_is_taken, an_item_that_is_taken_cries_wolf by "granted-waits": PREEMPTIONS => taken_item;
    /// The last sender of one channel goes, which ends a choice; whoever could end it otherwise waits for a lock of it.
    a_channel_about_to_close, a_channel_about_to_close_cries_wolf by "granted-waits": PREEMPTIONS => closing_choice;
    /// The owner has made room, and its next job wants a lock of whoever has been given that.
    room_that_is_given, room_that_is_given_cries_wolf by "granted-waits": MINUTES => given_room;
    /// Another wants a lock of whoever arrives last at a barrier, and may already look for it.
    the_last_to_arrive, the_last_to_arrive_cries_wolf by "granted-waits": MINUTES => last_to_arrive;
    /// Two come to a barrier at once.
    two_at_a_barrier, two_at_a_barrier_cry_wolf by "coming-waits": Search::Exhaustive => met_at_a_barrier;
    /// Two come to a channel at once that hands each item over.
    two_at_a_channel, two_at_a_channel_cry_wolf by "coming-waits": Search::Exhaustive => met_at_a_channel;
}

const PREEMPTIONS: Search = Search::Bounded(3, "the whole takes hours");
const MINUTES: Search = Search::Bounded(3, "the whole takes minutes");

fn nobody(all: impl IntoIterator<Item = Result<(), Deadlock>>) {
    assert_eq!(one_victim(all), 0, "nobody waits for ever");
}

fn taken_item() {
    let (sender, receiver) = bounded::<u32>(1);
    let free = sender.clone();
    let table = Arc::new(Mutex::named("table", ()));
    let held = table.checked_lock().unwrap();
    let bound = holds_and_wants(sender, &table);
    let sends = thread::spawn(move || free.send(1).expect("there is room"));
    let mine = received(receiver.recv());
    drop(held);
    sends.join().unwrap();
    nobody([mine, bound.join().unwrap()]);
}

fn closing_choice() {
    let ((one, first), (two, second)) = (bounded::<u32>(1), bounded::<u32>(1));
    let table = Arc::new(Mutex::named("table", ()));
    let held = table.checked_lock().unwrap();
    let bound = holds_and_wants(one, &table);
    let goes = thread::spawn(move || drop(two));
    let either = |first: &Receiver<u32>, second: &Receiver<u32>| -> Result<u32, RecvError> {
        select! {
            recv(first) -> got => got,
            recv(second) -> got => got,
        }
    };
    let mine = received(either(&first, &second));
    drop(held);
    goes.join().unwrap();
    nobody([mine, bound.join().unwrap()]);
}

fn given_room() {
    let (vm, owner) = Owner::builder("vm").capacity(1).wait_on_owner(WaitOnOwner::Detect).attach(());
    let table = Arc::new(Mutex::named("table", ()));
    let (wanted, (tell, told)) = (table.clone(), std::sync::mpsc::channel());
    let posts = thread::spawn(move || {
        let held = table.checked_lock().unwrap();
        let room = |posted| match posted {
            Ok(()) => Ok(()),
            Err(PostError::Deadlock(deadlock)) => Err(deadlock),
            Err(other) => panic!("{other}"),
        };
        let job = move |(): &()| tell.send(ended(wanted.checked_lock())).unwrap();
        let all = [room(vm.post_wait("first", job)), room(vm.post_wait("second", |()| ()))];
        drop(held);
        vm.close();
        all
    });
    owner.run();
    let [first, second] = posts.join().unwrap();
    nobody([first, second, told.try_recv().unwrap()]);
}

fn last_to_arrive() {
    let [one, two] = Barrier::parties(2).try_into().expect("two were asked for");
    let table = Arc::new(Mutex::named("table", ()));
    let wanted = table.clone();
    // Known as a party before the other can miss it.
    let mine = two.hold();
    let held = table.checked_lock().unwrap();
    let other = thread::spawn(move || {
        let party = one.hold();
        let arrived = ended(party.wait());
        arrived.and_then(|()| ended(wanted.checked_lock()))
    });
    let arrived = ended(mine.wait());
    drop(held);
    nobody([arrived, other.join().unwrap()]);
}

fn met_at_a_barrier() {
    let [one, two] = Barrier::parties(2).try_into().expect("two were asked for");
    let mine = two.hold();
    let other = thread::spawn(move || ended(one.hold().wait()));
    let arrived = ended(mine.wait());
    nobody([arrived, other.join().unwrap()]);
}

fn met_at_a_channel() {
    let (sender, receiver) = bounded::<u32>(0);
    let sends = thread::spawn(move || {
        let sender = sender.hold();
        sender.send(1).map_err(|error| match error {
            impasse::sync::channel::SendError::Deadlock(_, deadlock) => deadlock,
            other => panic!("{other}"),
        })
    });
    let receiver = receiver.hold();
    let mine = received(receiver.recv());
    drop(receiver);
    nobody([mine, sends.join().unwrap()]);
}
