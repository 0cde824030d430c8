//! Chases through several waits: rings of different kinds, tails into somebody else's cycle, cycles that share a wait,
//! and a victim that is told by another.

use std::sync::{Arc, mpsc};

use impasse::sync::{End, RwLock, promise_named};
use impasse::{Owner, WaitOnOwner};
use loom::thread;

use crate::gate::{Gates, behind};
use crate::ghost::{self, Lock};
use crate::kinds::{called, ended, one_victim, promised};
use crate::runner::{Search, check, reports, twin};

const THREE_TASKS: Search = Search::Bounded(3, "three tasks: the whole takes hours");

/// A job wants a lock; its holder waits for a promise; whoever is to keep that calls the owner of the job. Whichever
/// comes last, there is one victim.
#[test]
fn a_ring_of_a_lock_a_promise_and_a_call() {
    check("a_ring_of_a_lock_a_promise_and_a_call", THREE_TASKS, || {
        let mut gates = Gates::new();
        reports::reset();
        let (vm, owner) = Owner::builder("vm").wait_on_owner(WaitOnOwner::Detect).attach(());
        let table = Arc::new(Lock::named("table"));
        let (answer, keep) = promise_named::<()>("answer");
        let (wanted, calls) = (table.clone(), vm.clone());
        let (tell, told) = mpsc::channel();
        let job = move |(): &()| tell.send(ended(wanted.take(&ghost::me()))).unwrap();
        vm.post("job", job).unwrap();
        let holder = behind(&mut gates, move |gate| {
            ghost::task("holder", |me| {
                let _held = table.take(me).unwrap();
                gate.pass();
                promised(me.waits("promise `answer`", || answer.wait()))
            })
        });
        let keeper = behind(&mut gates, move |gate| {
            ghost::task("keeper", |me| {
                let (keep, noted) = (keep.hold(), me.holds("promise `answer`"));
                gate.pass();
                let answered = called(me.waits("a job on owner `vm`", || calls.call("callback", |()| ())));
                calls.close();
                drop(noted);
                answered.inspect(|()| keep.resolve(()))
            })
        });
        gates.open();
        let serves = ghost::named("owner `vm`").holds("a job on owner `vm`");
        owner.run();
        drop(serves);
        let all = [told.try_recv().unwrap(), holder.join().unwrap(), keeper.join().unwrap()];
        assert_eq!(one_victim(all), 1, "the ring closes whoever comes last");
    });
}

#[test]
fn a_ring_of_a_lock_a_promise_and_a_call_hangs() {
    twin("detector-off", "chase::a_ring_of_a_lock_a_promise_and_a_call", "deadlock;");
}

#[test]
fn a_ring_of_a_lock_a_promise_and_a_call_is_missed_without_the_fence() {
    twin("no-fence", "chase::a_ring_of_a_lock_a_promise_and_a_call", "deadlock;");
}

#[test]
fn a_ring_of_a_lock_a_promise_and_a_call_has_more_victims_without_a_tie_break() {
    twin("no-tie-break", "chase::a_ring_of_a_lock_a_promise_and_a_call", "a false report");
}

/// A thread is joined that wants a lock; its holder waits for a promise, which whoever joins is to keep.
#[test]
fn a_ring_of_a_lock_a_promise_and_a_join() {
    check("a_ring_of_a_lock_a_promise_and_a_join", THREE_TASKS, || {
        let mut gates = Gates::new();
        reports::reset();
        let (table, (answer, keep)) = (Arc::new(Lock::named("table")), promise_named::<()>("answer"));
        let wanted = table.clone();
        let holder = behind(&mut gates, move |gate| {
            ghost::task("holder", |me| {
                let _held = table.take(me).unwrap();
                gate.pass();
                promised(me.waits("promise `answer`", || answer.wait()))
            })
        });
        let gate = gates.gate();
        let joined = impasse::thread::spawn_named("joined", move || {
            gate.pass();
            ended(wanted.take(&ghost::me()))
        });
        ghost::task("joins", |me| {
            let (keep, noted) = (keep.hold(), me.holds("promise `answer`"));
            let ends = ghost::named("thread `joined`").holds("thread `joined` to end");
            gates.open();
            let end = me.waits("thread `joined` to end", || joined.unwrap().checked_join());
            drop((ends, noted));
            keep.resolve(());
            let [mine, theirs] = match end {
                Ok(theirs) => [Ok(()), theirs],
                Err(refused) => [ended::<()>(Err(refused)), Ok(())],
            };
            // If this wait was refused, that of the thread was not.
            assert_eq!(
                one_victim([mine, theirs, holder.join().unwrap()]),
                1,
                "the ring closes whoever comes last"
            );
        });
    });
}

#[test]
fn a_ring_of_a_lock_a_promise_and_a_join_hangs() {
    twin("detector-off", "chase::a_ring_of_a_lock_a_promise_and_a_join", "deadlock;");
}

/// Two tasks take two locks crosswise, and a third wants one of those: its chase leads into a cycle that it is no part
/// of. It is no victim, and it gets the lock.
#[test]
fn a_tail_of_a_cycle_is_no_victim_of_it() {
    check("a_tail_of_a_cycle_is_no_victim_of_it", THREE_TASKS, || {
        let mut gates = Gates::new();
        reports::reset();
        let (a, b) = (Arc::new(Lock::named("a")), Arc::new(Lock::named("b")));
        let crosswise = [("t1", a.clone(), b.clone()), ("t2", b, a.clone())];
        let [first, second] = crosswise.map(|(name, has, wants)| {
            behind(&mut gates, move |gate| {
                ghost::task(name, |me| {
                    let _held = has.take(me).unwrap();
                    gate.pass();
                    ended(wants.take(me))
                })
            })
        });
        gates.open();
        let tail = ghost::task("tail", |me| ended(a.take(me)));
        assert_eq!(tail, Ok(()), "the tail is a victim");
        assert_eq!(one_victim([first.join().unwrap(), second.join().unwrap()]), 1);
    });
}

#[test]
fn a_chase_without_a_bound_never_leaves_a_cycle() {
    // loom's limit of branches ends it.
    twin("no-hop-bound", "chase::a_tail_of_a_cycle_is_no_victim_of_it", "maximum number of branches");
}

const BRIEFLY: Search = Search::Bounded(2, "over 250,000 executions with three preemptions");

/// A writer waits for two readers, each of which wants a lock of the writer's: two cycles that share its wait. A reader
/// that is refused leaves while the other's cycle may close; the writer, refused, opens both.
#[test]
fn of_two_cycles_that_share_a_wait_each_is_opened_once() {
    check("of_two_cycles_that_share_a_wait_each_is_opened_once", BRIEFLY, || {
        let mut gates = Gates::new();
        reports::reset();
        let (table, log) = (Arc::new(RwLock::named("table", ())), Arc::new(Lock::named("log")));
        let readers = ["r1", "r2"].map(|name| {
            let (table, log) = (table.clone(), log.clone());
            behind(&mut gates, move |gate| {
                ghost::task(name, |me| {
                    let read = table.checked_read().unwrap();
                    let noted = me.holds("lock `table`");
                    gate.pass();
                    let mine = ended(log.take(me));
                    drop(noted);
                    drop(read);
                    mine
                })
            })
        });
        let mine = ghost::task("writer", |me| {
            let _held = log.take(me).unwrap();
            gates.open();
            ended(me.waits("lock `table`", || table.checked_write()))
        });
        let theirs = readers.map(|reader| reader.join().unwrap());
        let victims = [&mine, &theirs[0], &theirs[1]].into_iter().filter(|ended| ended.is_err()).count();
        assert!((1..=2).contains(&victims), "{victims} victims");
        assert_eq!(reports::count(), victims);
    });
}

#[test]
fn without_a_tie_break_the_second_cycle_is_found_where_the_first_was() {
    twin("no-tie-break", "chase::of_two_cycles_that_share_a_wait_each_is_opened_once", "a false report");
}

/// The end of a scope cannot be refused, so a thread of it is told to leave its wait; meanwhile a tail wants what that one
/// holds. The tail is no victim, and nobody is told twice.
#[test]
fn a_tail_gets_what_a_victim_holds_that_is_told() {
    check("a_tail_gets_what_a_victim_holds_that_is_told", THREE_TASKS, || {
        let mut gates = Gates::new();
        reports::reset();
        let (table, held) =
            (Arc::new(impasse::sync::Mutex::new(())), Arc::new(impasse::sync::Mutex::new(())));
        let (gate, wanted) = (gates.gate(), held.clone());
        let mine = table.checked_lock().unwrap();
        let mut theirs = Ok(());
        let mut tail = None;
        impasse::thread::scope(|scope| {
            let (table, held, theirs) = (&table, &held, &mut theirs);
            scope.spawn(move || {
                let _held = held.checked_lock().unwrap();
                gate.pass();
                *theirs = ended(table.checked_lock());
            });
            gates.open();
            tail = Some(thread::spawn(move || ended(wanted.checked_lock())));
        });
        drop(mine);
        assert_eq!(tail.unwrap().join().unwrap(), Ok(()), "the tail is a victim");
        assert!(theirs.is_err(), "the thread wants what is held until it ends");
        assert_eq!(reports::count(), 1);
    });
}

#[test]
fn a_tail_never_gets_what_a_victim_holds_that_is_not_told() {
    twin("detector-off", "chase::a_tail_gets_what_a_victim_holds_that_is_told", "deadlock;");
}
