//! The scenes with the locks of each peer. What a peer has no lock for is std's.

use std::sync::{Arc, Barrier, OnceLock, mpsc};
use std::thread;

use super::Scene;

/// The scenes, with these locks. `$guard` takes what `lock()` and its like return to a guard.
macro_rules! scenes {
    ($name:ident, $mutex:path, $rwlock:path, $condvar:path, $guard:expr, $wait:expr) => {
        mod $name {
            use super::*;
            use $condvar as Condvar;
            use $mutex as Mutex;
            use $rwlock as RwLock;

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
                ("a promise whose holder waits for the waiter", true, promise),
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
                            let _first = $guard(locks[index].lock());
                            met.wait();
                            let _second = $guard(locks[(index + 1) % many].lock());
                        })
                    })
                    .collect();
                threads.into_iter().for_each(|thread| drop(thread.join()));
            }

            fn relock() {
                let lock = Mutex::new(());
                let _held = $guard(lock.lock());
                let _again = $guard(lock.lock());
            }

            fn read_to_write() {
                let lock = RwLock::new(());
                let _read = $guard(lock.read());
                let _write = $guard(lock.write());
            }

            fn read_writer_read() {
                let lock = Arc::new(RwLock::new(()));
                let writes = lock.clone();
                let _read = $guard(lock.read());
                let writer = thread::spawn(move || drop($guard(writes.write())));
                // Until the writer is in line.
                thread::sleep(std::time::Duration::from_millis(50));
                let _again = $guard(lock.read());
                drop((_again, _read));
                let _ = writer.join();
                // Where readers overtake writers it is none.
            }

            fn join_with_lock() {
                let lock = Arc::new(Mutex::new(()));
                let wanted = lock.clone();
                let _held = $guard(lock.lock());
                let _ = thread::spawn(move || drop($guard(wanted.lock()))).join();
            }

            fn condition() {
                let shared = Arc::new((Mutex::new(false), Condvar::new(), Mutex::new(())));
                let other = shared.clone();
                let met = Arc::new(Barrier::new(2));
                let meets = met.clone();
                let notifies = thread::spawn(move || {
                    meets.wait();
                    let mut state = $guard(other.0.lock());
                    *state = true;
                    other.1.notify_one();
                    let _besides = $guard(other.2.lock());
                });
                let _besides = $guard(shared.2.lock());
                let mut state = $guard(shared.0.lock());
                met.wait();
                while !*state {
                    state = $wait(&shared.1, state);
                }
                drop((state, _besides));
                let _ = notifies.join();
            }

            fn lock_and_channel() {
                let (sender, receiver) = mpsc::channel();
                let lock = Arc::new(Mutex::new(()));
                let wanted = lock.clone();
                let _held = $guard(lock.lock());
                thread::spawn(move || {
                    let _held = $guard(wanted.lock());
                    sender.send(1)
                });
                let _: Result<i32, _> = receiver.recv();
            }

            fn crossed_channels() {
                let ((to_a, at_a), (to_b, at_b)) = (mpsc::sync_channel(0), mpsc::sync_channel(0));
                let a = thread::spawn(move || {
                    let sent = to_b.send(1);
                    drop(at_a);
                    sent
                });
                let _ = to_a.send(2);
                drop(at_b);
                let _ = a.join();
            }

            /// A channel of one item.
            fn promise() {
                let (resolver, answer) = mpsc::channel::<()>();
                let lock = Arc::new(Mutex::new(()));
                let wanted = lock.clone();
                let _held = $guard(lock.lock());
                thread::spawn(move || {
                    let _held = $guard(wanted.lock());
                    resolver.send(())
                });
                let _ = answer.recv();
            }

            fn value() {
                static VALUE: OnceLock<u32> = OnceLock::new();
                VALUE.get_or_init(|| *VALUE.get_or_init(|| 1));
            }

            /// Workers that take work from a queue behind a lock.
            fn pool() {
                type Work = Box<dyn FnOnce() + Send>;
                let (queue, work) = mpsc::channel::<Work>();
                let work = Arc::new(Mutex::new(work));
                for _ in 0..2 {
                    let work = work.clone();
                    thread::spawn(move || {
                        loop {
                            let next = $guard(work.lock()).recv();
                            match next {
                                Ok(next) => next(),
                                Err(_) => return,
                            }
                        }
                    });
                }
                let met = Arc::new(Barrier::new(2));
                let outer: Vec<_> = (0..2)
                    .map(|_| {
                        let (inner, met) = (queue.clone(), met.clone());
                        let (done, is_done) = mpsc::channel();
                        let work: Work = Box::new(move || {
                            met.wait();
                            let (inner_done, inner_is_done) = mpsc::channel();
                            inner.send(Box::new(move || inner_done.send(()).unwrap())).unwrap();
                            let _ = inner_is_done.recv();
                            let _ = done.send(());
                        });
                        queue.send(work).unwrap();
                        is_done
                    })
                    .collect();
                outer.into_iter().for_each(|done| _ = done.recv());
            }

            /// An owner: a thread that runs jobs one at a time.
            #[derive(Clone)]
            struct Owner(mpsc::SyncSender<Job>);

            type Job = Box<dyn FnOnce() + Send>;

            impl Owner {
                fn new(room: usize) -> Self {
                    let (sender, jobs) = mpsc::sync_channel::<Job>(room);
                    thread::spawn(move || jobs.into_iter().for_each(|job| job()));
                    Self(sender)
                }

                fn call(&self, job: impl FnOnce() + Send + 'static) {
                    let (done, is_done) = mpsc::channel();
                    let job = move || {
                        job();
                        let _ = done.send(());
                    };
                    self.0.send(Box::new(job)).unwrap();
                    let _ = is_done.recv();
                }
            }

            fn self_call() {
                let owner = Owner::new(8);
                let itself = owner.clone();
                owner.call(move || itself.call(|| ()));
            }

            fn callback() {
                let owner = Owner::new(8);
                let itself = owner.clone();
                owner.call(move || drop(thread::spawn(move || itself.call(|| ())).join()));
            }

            fn two_owners() {
                let (a, b) = (Owner::new(8), Owner::new(8));
                let back = a.clone();
                a.call(move || b.call(move || back.call(|| ())));
            }

            fn own_queue() {
                let owner = Owner::new(1);
                let itself = owner.clone();
                owner.call(move || (0..3).for_each(|_| itself.0.send(Box::new(|| ())).unwrap()));
            }

            fn lock_and_call() {
                let owner = Owner::new(8);
                let lock = Arc::new(Mutex::new(()));
                let wanted = lock.clone();
                let _held = $guard(lock.lock());
                owner.call(move || drop($guard(wanted.lock())));
            }

            fn gate() {
                let locks = Arc::new([Mutex::new(()), Mutex::new(()), Mutex::new(())]);
                let threads = [(1, 2), (2, 1)].map(|(first, second)| {
                    let locks = locks.clone();
                    thread::spawn(move || {
                        for _ in 0..100 {
                            let _gate = $guard(locks[0].lock());
                            let _first = $guard(locks[first].lock());
                            let _second = $guard(locks[second].lock());
                        }
                    })
                });
                threads.into_iter().for_each(|thread| drop(thread.join()));
            }

            fn both(locks: &[Mutex<()>; 2], first: usize, second: usize) {
                let _first = $guard(locks[first].lock());
                let _second = $guard(locks[second].lock());
            }

            fn ordered_by_join() {
                let locks = Arc::new([Mutex::new(()), Mutex::new(())]);
                let other = locks.clone();
                let _ = thread::spawn(move || both(&other, 0, 1)).join();
                both(&locks, 1, 0);
            }

            fn one_after_the_other() {
                let locks = [Mutex::new(()), Mutex::new(())];
                both(&locks, 0, 1);
                both(&locks, 1, 0);
            }

            fn crossed_reads() {
                let locks = Arc::new([RwLock::new(()), RwLock::new(())]);
                let met = Arc::new(Barrier::new(2));
                let threads = [(0, 1), (1, 0)].map(|(first, second)| {
                    let (locks, met) = (locks.clone(), met.clone());
                    thread::spawn(move || {
                        let _first = $guard(locks[first].read());
                        met.wait();
                        let _second = $guard(locks[second].read());
                    })
                });
                threads.into_iter().for_each(|thread| drop(thread.join()));
            }
        }
    };
}

fn unpoisoned<G, E: std::fmt::Debug>(locked: Result<G, E>) -> G {
    locked.expect("nobody panics with it")
}

scenes!(
    std_locks,
    std::sync::Mutex,
    std::sync::RwLock,
    std::sync::Condvar,
    unpoisoned,
    |it: &Condvar, guard| { unpoisoned(it.wait(guard)) }
);
scenes!(
    detecting,
    parking_lot_detecting::Mutex,
    parking_lot_detecting::RwLock,
    parking_lot_detecting::Condvar,
    std::convert::identity,
    |it: &Condvar, mut guard| {
        it.wait(&mut guard);
        guard
    }
);
scenes!(
    deloxide_locks,
    deloxide::Mutex,
    deloxide::RwLock,
    deloxide::Condvar,
    std::convert::identity,
    |it: &Condvar, mut guard| {
        it.wait(&mut guard);
        guard
    }
);
scenes!(
    tracing,
    tracing_mutex::stdsync::tracing::Mutex,
    tracing_mutex::stdsync::tracing::RwLock,
    tracing_mutex::stdsync::tracing::Condvar,
    unpoisoned,
    |it: &Condvar, guard| unpoisoned(it.wait(guard))
);
scenes!(
    no_deadlocks_locks,
    no_deadlocks::Mutex,
    no_deadlocks::RwLock,
    no_deadlocks::Condvar,
    unpoisoned,
    |it: &Condvar, guard| unpoisoned(it.wait(guard))
);

/// Those of a peer.
pub fn scenes(peer: &str) -> &'static [Scene] {
    match peer {
        "parking_lot-deadlock_detection" => detecting::SCENES,
        "deloxide" => deloxide_locks::SCENES,
        "tracing-mutex" => tracing::SCENES,
        "no_deadlocks" => no_deadlocks_locks::SCENES,
        _ => std_locks::SCENES,
    }
}
