//! The same scenes with our locks, channels, threads and owners.

use std::sync::{Arc, Barrier};

use impasse::sync::channel::{bounded, unbounded};
use impasse::sync::{Condvar, End as _, Mutex, OnceLock, RwLock, promise};
use impasse::{Owner, Session, WaitOnOwner, thread};

use super::Scene;

pub const SCENES: &[Scene] = &[
    ("two locks, crossed", true, || ring(2)),
    ("a ring of three locks", true, || ring(3)),
    ("a lock taken twice", true, relock),
    ("a read that becomes a write", true, read_to_write),
    ("read, a queued writer, read again", true, read_writer_read),
    ("a join with what the thread wants", true, join_with_lock),
    ("a lock taken back after a condition", true, condition),
    ("a lock and a channel", true, lock_and_channel),
    ("two channels, hand to hand", true, crossed_channels),
    ("a promise whose holder waits for the waiter", true, promised),
    ("a value that needs itself", true, value),
    ("a pool that waits for itself (S8)", true, pool),
    ("a job that waits for a later one (S1)", true, self_call),
    ("a run that calls the waiting owner (S2)", true, callback),
    ("two owners that call each other (S3)", true, two_owners),
    ("no room in one's own queue (S4)", true, own_queue),
    ("a lock and a call (S5)", true, lock_and_call),
    ("an inversion under a gate lock", false, gate),
    ("an inversion ordered by a join", false, ordered_by_join),
    ("two reads, crossed", false, crossed_reads),
    ("an inversion that does not come to be one", false, one_after_the_other),
];

fn ring(many: usize) {
    let locks: Arc<Vec<_>> = Arc::new((0..many).map(|_| Mutex::new(())).collect());
    let met = Arc::new(Barrier::new(many));
    let threads: Vec<_> = (0..many)
        .map(|index| {
            let (locks, met) = (locks.clone(), met.clone());
            thread::spawn(move || {
                let _first = locks[index].lock();
                met.wait();
                let _second = locks[(index + 1) % many].lock();
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| drop(thread.join()));
}

fn relock() {
    let lock = Mutex::new(());
    let _held = lock.lock();
    let _again = lock.lock();
}

fn read_to_write() {
    let lock = RwLock::new(());
    let _read = lock.read();
    let _write = lock.write();
}

fn read_writer_read() {
    let lock = Arc::new(RwLock::new(()));
    let writes = lock.clone();
    let _read = lock.read();
    let _writer = thread::spawn(move || drop(writes.write()));
    while lock.try_read().is_some() {
        thread::yield_now();
    }
    let _again = lock.read();
}

fn join_with_lock() {
    let lock = Arc::new(Mutex::new(()));
    let wanted = lock.clone();
    let _held = lock.lock();
    let _ = thread::spawn(move || drop(wanted.lock())).join();
}

fn condition() {
    let shared = Arc::new((Mutex::new(false), Condvar::new(), Mutex::new(())));
    let other = shared.clone();
    let met = Arc::new(Barrier::new(2));
    let meets = met.clone();
    let notifies = thread::spawn(move || {
        meets.wait();
        *other.0.lock() = true;
        let _state = other.0.lock();
        other.1.notify_one();
        let _besides = other.2.lock();
    });
    let besides = shared.2.lock();
    let mut state = shared.0.lock();
    met.wait();
    shared.1.wait_while(&mut state, |state| !*state);
    drop((state, besides));
    let _ = notifies.join();
}

fn lock_and_channel() {
    let (sender, receiver) = unbounded();
    let lock = Arc::new(Mutex::new(()));
    let wanted = lock.clone();
    let _held = lock.lock();
    thread::spawn_with(sender, move |sender| {
        let _held = wanted.lock();
        sender.send(1)
    });
    let _ = receiver.recv();
}

fn crossed_channels() {
    let ((to_a, at_a), (to_b, at_b)) = (bounded(0), bounded(0));
    let a = thread::spawn_with(at_a, move |_at_a| to_b.send(1));
    let at_b = at_b.hold();
    let _ = to_a.send(2);
    drop(at_b);
    let _ = a.join();
}

fn promised() {
    let (answer, resolver) = promise();
    let lock = Arc::new(Mutex::new(()));
    let wanted = lock.clone();
    let _held = lock.lock();
    thread::spawn_with(resolver, move |resolver| {
        let _held = wanted.lock();
        resolver.resolve(());
    });
    let _ = answer.wait();
}

fn value() {
    let value = OnceLock::new();
    value.get_or_init(|| *value.get_or_init(|| 1));
}

fn pool() {
    let pool = Arc::new(thread::Pool::new("workers", 2).expect("threads"));
    let met = Arc::new(Barrier::new(2));
    let outer: Vec<_> = (0..2)
        .map(|_| {
            let (inner, met) = (pool.clone(), met.clone());
            pool.spawn(move || {
                met.wait();
                drop(inner.spawn(|| ()).wait());
            })
        })
        .collect();
    outer.into_iter().for_each(|work| drop(work.wait()));
}

fn owner() -> Owner<()> {
    Owner::builder("owner").wait_on_owner(WaitOnOwner::Detect).spawn(|| ()).expect("a thread")
}

fn self_call() {
    let (owner, (answer, resolver)) = (owner(), promise());
    let vm = owner.handle();
    let _ = owner.handle().call("outer", move |()| {
        let _ = vm.post_with("later", resolver, |(), resolver| resolver.resolve(()));
        answer.wait()
    });
}

fn callback() {
    let owner = owner();
    let session = Session::builder("run", &owner.handle()).engine(|run, ()| run.call("callback", |()| ()));
    let _ = owner.handle().call("job", move |()| session.run(()));
}

fn two_owners() {
    let (a, b) = (owner(), owner());
    let (back, to_b) = (a.handle(), b.handle());
    let _ = a.handle().call("a", move |()| to_b.call("b", move |()| back.call("a", |()| ())));
}

fn own_queue() {
    let owner = Owner::builder("owner").capacity(1).spawn(|| ()).expect("a thread");
    let vm = owner.handle();
    let _ = owner.handle().call("job", move |()| {
        for _ in 0..3 {
            let _ = vm.post_wait("more", |()| ());
        }
    });
}

fn lock_and_call() {
    let owner = owner();
    let lock = Arc::new(Mutex::new(()));
    let wanted = lock.clone();
    let _held = lock.lock();
    let _ = owner.handle().call("job", move |()| drop(wanted.lock()));
}

fn gate() {
    let locks = Arc::new([(); 3].map(Mutex::new));
    let threads = [(1, 2), (2, 1)].map(|(first, second)| {
        let locks = locks.clone();
        thread::spawn(move || {
            for _ in 0..100 {
                let _gate = locks[0].lock();
                let _first = locks[first].lock();
                let _second = locks[second].lock();
            }
        })
    });
    threads.into_iter().for_each(|thread| drop(thread.join()));
}

fn both(locks: &[Mutex<()>; 2], first: usize, second: usize) {
    let _first = locks[first].lock();
    let _second = locks[second].lock();
}

fn ordered_by_join() {
    let locks = Arc::new([(); 2].map(Mutex::new));
    let other = locks.clone();
    let _ = thread::spawn(move || both(&other, 0, 1)).join();
    both(&locks, 1, 0);
}

fn one_after_the_other() {
    let locks = [(); 2].map(Mutex::new);
    both(&locks, 0, 1);
    both(&locks, 1, 0);
}

fn crossed_reads() {
    let locks = Arc::new([(); 2].map(RwLock::new));
    let met = Arc::new(Barrier::new(2));
    let threads = [(0, 1), (1, 0)].map(|(first, second)| {
        let (locks, met) = (locks.clone(), met.clone());
        thread::spawn(move || {
            let _first = locks[first].read();
            met.wait();
            let _second = locks[second].read();
        })
    });
    threads.into_iter().for_each(|thread| drop(thread.join()));
}
