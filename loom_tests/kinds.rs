//! Pairs of waits of different kinds that wait for each other: no execution hangs, each report is true, and of each
//! deadlock there is exactly one victim. The twin of each, with the detector off, hangs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use impasse::sync::channel::{RecvError, bounded, unbounded};
use impasse::sync::{
    End, Mutex, Promise, PromiseError, Resolver, RwLock, RwLockUpgradableReadGuard, WaitGroup, promise_named,
};
use impasse::{CallError, Deadlock, Owner, PostError, WaitError, WaitOnOwner};
use loom::thread;

use crate::ghost::{self, Lock, Me};
use crate::runner::{Search, properties, reports, twin};

/// Whether a wait was refused because of a deadlock. What the model does not expect is a panic.
pub(crate) type Ended = Result<(), Deadlock>;

pub(crate) fn ended<T>(waited: Result<T, WaitError>) -> Ended {
    waited.map(drop).map_err(|error| error.deadlock().expect("nobody cancels"))
}

pub(crate) fn called<T>(called: Result<T, CallError>) -> Ended {
    match called {
        Ok(_) => Ok(()),
        Err(CallError::Deadlock(deadlock)) => Err(deadlock),
        Err(other) => panic!("{other}"),
    }
}

pub(crate) fn promised(waited: Result<(), PromiseError>) -> Ended {
    match waited {
        // Whoever was to keep it was refused, and has gone.
        Ok(()) | Err(PromiseError::Abandoned(_)) => Ok(()),
        Err(PromiseError::Deadlock(deadlock)) => Err(deadlock),
        Err(other) => panic!("{other}"),
    }
}

pub(crate) fn received(received: Result<u32, RecvError>) -> Ended {
    match received {
        Ok(_) | Err(RecvError::Disconnected) => Ok(()),
        Err(RecvError::Deadlock(deadlock)) => Err(deadlock),
        Err(other) => panic!("{other}"),
    }
}

/// At most one of these was refused, everybody was told of that one, and each of its hops waits for another.
pub(crate) fn one_victim(all: impl IntoIterator<Item = Ended>) -> usize {
    let victims: Vec<_> = all.into_iter().filter_map(Result::err).collect();
    assert!(victims.len() <= 1, "two victims of one deadlock: {victims:?}");
    assert_eq!(reports::count(), victims.len());
    for victim in &victims {
        for hop in victim.hops() {
            let providers = hop.held_by.split(" or ");
            let is_in = |provider: &str| victim.hops().iter().any(|other| other.task == provider);
            assert!(providers.into_iter().all(is_in), "{victim}");
        }
    }
    victims.len()
}

/// A task to which this end is bound, and that wants this lock.
pub(crate) fn holds_and_wants<E: End + Send>(end: E, lock: &Arc<Mutex<()>>) -> thread::JoinHandle<Ended> {
    let lock = lock.clone();
    thread::spawn(move || {
        ghost::task("bound", |_| {
            let _end = end.hold();
            ended(lock.checked_lock())
        })
    })
}

properties! {
    in kinds, "deadlock;";
    /// One reads and wants a lock; the other holds that and wants to write.
    a_reader_and_a_writer, a_reader_and_a_writer_hang by "detector-off": Search::Exhaustive => reader_and_writer;
    /// A writer comes between two reads of one task: the second is behind it.
    a_writer_between_two_reads, a_writer_between_two_reads_hangs by "detector-off": Search::Exhaustive => writer_between_reads;
    /// An upgrade waits for the other reader, which waits for a lock of whoever upgrades.
    an_upgrade_and_a_reader, an_upgrade_and_a_reader_hang by "detector-off": Search::Exhaustive => upgrade_and_reader;
    /// Each keeps its promise when the other has kept its.
    two_promises, two_promises_hang by "detector-off": Search::Exhaustive => two_promises_crossed;
    /// A promise whose holder wants a lock of whoever waits for it.
    a_promise_and_a_lock, a_promise_and_a_lock_hang by "detector-off": Search::Exhaustive => promise_and_lock;
    /// A job waits for a promise whose holder calls the owner.
    a_promise_and_a_call, a_promise_and_a_call_hang by "detector-off": PREEMPTIONS => promise_and_call;
    /// A job wants a lock whose holder calls the owner.
    a_lock_and_a_call, a_lock_and_a_call_hang by "detector-off": PREEMPTIONS => lock_and_call;
    /// A job wants a lock whose holder waits for room in the owner's queue.
    a_lock_and_room, a_lock_and_room_hang by "detector-off": PREEMPTIONS => lock_and_room;
    /// A thread wants a lock of whoever joins it.
    a_join_and_a_lock, a_join_and_a_lock_hang by "detector-off": Search::Exhaustive => join_and_lock;
    /// The end of a scope cannot be refused: the wait of its thread is, whichever comes last.
    a_scope_and_a_lock, a_scope_and_a_lock_hang by "detector-off": Search::Exhaustive => scope_and_lock;
    /// Each of two tasks alone could send what the other waits for.
    two_channels, two_channels_hang by "detector-off": PREEMPTIONS => two_channels_crossed;
    /// The wait is live as long as somebody may have a sender that is not bound; when that goes, it is a deadlock.
    the_last_free_sender, the_last_free_sender_hangs by "detector-off": PREEMPTIONS => last_free_sender;
    /// A member of a group wants a lock of whoever waits for the group.
    a_group_and_a_lock, a_group_and_a_lock_hang by "detector-off": PREEMPTIONS => group_and_lock;
}

#[test]
fn the_last_free_sender_that_goes_without_a_word_leaves_a_deadlock_that_nobody_finds() {
    twin("narrow-tells-nobody", "kinds::the_last_free_sender", "deadlock;");
}

const PREEMPTIONS: Search = Search::Bounded(3, "the whole takes hours");

fn reader_and_writer() {
    let (table, log) = (Arc::new(RwLock::named("table", ())), Arc::new(Lock::named("log")));
    let (reads, logs) = (table.clone(), log.clone());
    let reader = thread::spawn(move || {
        ghost::task("reader", |me| {
            let read = reads.checked_read().expect("nobody waits for a reader that has nothing");
            let noted = me.holds("lock `table`");
            let mine = ended(logs.take(me));
            drop((noted, read));
            mine
        })
    });
    let mine = ghost::task("writer", |me| {
        let _log = log.take(me).expect("nor for a task that has nothing");
        ended(me.waits("lock `table`", || table.checked_write()))
    });
    one_victim([mine, reader.join().unwrap()]);
}

fn writer_between_reads() {
    let table = Arc::new(RwLock::named("table", ()));
    let writes = table.clone();
    let writer = thread::spawn(move || {
        ghost::task("writer", |me| {
            // Whoever is behind it in the line waits for it.
            let _stands = me.holds("lock `table`");
            ended(me.waits("lock `table`", || writes.checked_write()))
        })
    });
    let mine = ghost::task("reader", |me| {
        let read = me.waits("lock `table`", || table.checked_read()).unwrap();
        let noted = me.holds("lock `table`");
        let mine = ended(me.waits("lock `table`", || table.checked_read()));
        drop((noted, read));
        mine
    });
    one_victim([mine, writer.join().unwrap()]);
}

fn upgrade_and_reader() {
    let (table, log) = (Arc::new(RwLock::named("table", ())), Arc::new(Lock::named("log")));
    let (reads, logs) = (table.clone(), log.clone());
    ghost::task("upgrades", |me| {
        let log = log.take(me).unwrap();
        let read = table.upgradable_read();
        let reader = thread::spawn(move || {
            ghost::task("reader", |me| {
                let read = me.waits("lock `table`", || reads.checked_read()).unwrap();
                let noted = me.holds("lock `table`");
                let mine = ended(logs.take(me));
                drop((noted, read));
                mine
            })
        });
        // Whoever upgrades has no error to return: if its wait comes last, it unwinds.
        let upgrade = || drop(RwLockUpgradableReadGuard::upgrade(read));
        let mine = me.waits("lock `table`", || catch_unwind(AssertUnwindSafe(upgrade)));
        drop(log);
        let theirs = reader.join().unwrap();
        assert!(mine.is_ok() || theirs.is_ok(), "two victims of one deadlock");
        assert_eq!(reports::count(), usize::from(mine.is_err()) + usize::from(theirs.is_err()));
    });
}

fn two_promises_crossed() {
    let ((a, keep_a), (b, keep_b)) = (promise_named::<()>("a"), promise_named::<()>("b"));
    /// Keeps one when it has the other.
    fn passes_on(me: &Me, promise: [&str; 2], keeps: Resolver<()>, wants: Promise<()>) -> Ended {
        let [kept, wanted] = promise;
        let (held, noted) = (keeps.hold(), me.holds(kept));
        let waited = promised(me.waits(wanted, || wants.wait()));
        drop(noted);
        waited.inspect(|()| held.resolve(()))
    }
    let other = thread::spawn(move || {
        ghost::task("t2", |me| passes_on(me, ["promise `a`", "promise `b`"], keep_a, b))
    });
    let mine = ghost::task("t1", |me| passes_on(me, ["promise `b`", "promise `a`"], keep_b, a));
    one_victim([mine, other.join().unwrap()]);
}

fn promise_and_lock() {
    let (answer, keep) = promise_named::<()>("answer");
    let table = Arc::new(Lock::named("table"));
    let wanted = table.clone();
    ghost::task("waiter", |me| {
        let held = table.take(me).unwrap();
        let keeper = thread::spawn(move || {
            ghost::task("keeper", |me| {
                let (keep, noted) = (keep.hold(), me.holds("promise `answer`"));
                let mine = ended(wanted.take(me));
                drop(noted);
                mine.inspect(|()| keep.resolve(()))
            })
        });
        let mine = promised(me.waits("promise `answer`", || answer.wait()));
        drop(held);
        one_victim([mine, keeper.join().unwrap()]);
    });
}

fn promise_and_call() {
    let (vm, owner) = Owner::builder("vm").wait_on_owner(WaitOnOwner::Detect).attach(());
    let (answer, keep) = promise_named::<()>("answer");
    let (calls, posts) = (vm.clone(), vm.clone());
    let (tell, told) = std::sync::mpsc::channel();
    let job = move |(): &()| {
        tell.send(promised(ghost::me().waits("promise `answer`", || answer.wait()))).unwrap();
    };
    posts.post("job", job).unwrap();
    let keeper = thread::spawn(move || {
        ghost::task("keeper", |me| {
            let (keep, noted) = (keep.hold(), me.holds("promise `answer`"));
            let answered = called(me.waits("a job on owner `vm`", || calls.call("callback", |()| ())));
            calls.close();
            drop(noted);
            answered.inspect(|()| keep.resolve(()))
        })
    });
    drop(vm);
    let _serves = ghost::named("owner `vm`").holds("a job on owner `vm`");
    owner.run();
    let theirs = keeper.join().unwrap();
    one_victim([told.try_recv().unwrap(), theirs]);
}

fn lock_and_call() {
    let (vm, owner) = Owner::builder("vm").wait_on_owner(WaitOnOwner::Detect).attach(());
    let table = Arc::new(Lock::named("table"));
    let (wanted, calls) = (table.clone(), vm.clone());
    let (tell, told) = std::sync::mpsc::channel();
    vm.post("job", move |()| tell.send(ended(wanted.take(&ghost::me()))).unwrap()).unwrap();
    let holder = thread::spawn(move || {
        ghost::task("holder", |me| {
            let _held = table.take(me).unwrap();
            let answered = called(me.waits("a job on owner `vm`", || calls.call("callback", |()| ())));
            calls.close();
            answered
        })
    });
    let _serves = ghost::named("owner `vm`").holds("a job on owner `vm`");
    owner.run();
    one_victim([told.try_recv().unwrap(), holder.join().unwrap()]);
}

fn lock_and_room() {
    let (vm, owner) = Owner::builder("vm").capacity(1).wait_on_owner(WaitOnOwner::Detect).attach(());
    let table = Arc::new(Lock::named("table"));
    let (wanted, posts) = (table.clone(), vm.clone());
    let (tell, told) = std::sync::mpsc::channel();
    vm.post("job", move |()| tell.send(ended(wanted.take(&ghost::me()))).unwrap()).unwrap();
    let holder = thread::spawn(move || {
        ghost::task("holder", |me| {
            let _held = table.take(me).unwrap();
            let mut posted = Ok(());
            for _ in 0..2 {
                let room = "room in the queue of owner `vm`";
                posted = match me.waits(room, || posts.post_wait("more", |()| ())) {
                    Ok(()) => posted,
                    Err(PostError::Deadlock(deadlock)) => Err(deadlock),
                    Err(other) => panic!("{other}"),
                };
            }
            posts.close();
            posted
        })
    });
    let _serves = ghost::named("owner `vm`").holds("room in the queue of owner `vm`");
    owner.run();
    let (mine, theirs) = (told.try_recv().unwrap(), holder.join().unwrap());
    assert!(mine.is_ok() || theirs.is_ok(), "two victims of one deadlock");
}

fn join_and_lock() {
    let table = Arc::new(Lock::named("table"));
    let wanted = table.clone();
    ghost::task("joins", |me| {
        let held = table.take(me).unwrap();
        let ends = ghost::named("thread `joined`").holds("thread `joined` to end");
        let joined = impasse::thread::spawn_named("joined", move || ended(wanted.take(&ghost::me())));
        let all = match me.waits("thread `joined` to end", || joined.unwrap().checked_join()) {
            Ok(theirs) => [Ok(()), theirs],
            Err(refused) => [ended::<()>(Err(refused)), Ok(())],
        };
        drop((ends, held));
        assert_eq!(one_victim(all), 1, "the one waits for the other whoever comes first");
    });
    impasse::checking::join_detached();
}

fn scope_and_lock() {
    let table = Mutex::named("table", ());
    let held = table.checked_lock().unwrap();
    let mut theirs = Ok(());
    impasse::thread::scope(|scope| {
        let (table, theirs) = (&table, &mut theirs);
        scope.spawn(move || *theirs = ended(table.checked_lock()));
    });
    drop(held);
    assert!(theirs.is_err(), "the thread wants what is held until it ends");
    assert_eq!(one_victim([theirs]), 1);
    impasse::checking::join_detached();
}

fn two_channels_crossed() {
    let ((to_a, at_a), (to_b, at_b)) = (unbounded::<u32>(), unbounded::<u32>());
    let other = thread::spawn(move || {
        ghost::task("t2", |_| {
            let _to_a = to_a.hold();
            received(at_b.recv())
        })
    });
    let mine = ghost::task("t1", |_| {
        let _to_b = to_b.hold();
        received(at_a.recv())
    });
    one_victim([mine, other.join().unwrap()]);
}

fn last_free_sender() {
    let (sender, receiver) = bounded::<u32>(1);
    let free = sender.clone();
    let table = Arc::new(Mutex::named("table", ()));
    let held = table.checked_lock().unwrap();
    let bound = holds_and_wants(sender, &table);
    let drops = thread::spawn(move || drop(free));
    let mine = received(receiver.recv());
    drop(held);
    drops.join().unwrap();
    one_victim([mine, bound.join().unwrap()]);
}

fn group_and_lock() {
    let group = WaitGroup::new();
    let member = group.clone();
    let table = Arc::new(Mutex::named("table", ()));
    let held = table.checked_lock().unwrap();
    let works = holds_and_wants(member, &table);
    let mine = ended(group.checked_wait());
    drop(held);
    one_victim([mine, works.join().unwrap()]);
}
