//! Whoever can end a wait changes while others look: what was held is given back, passed on, or gone.

use std::sync::Arc;

use impasse::sync::{End, Promise, Resolver, RwLock, promise_named};
use impasse::{Owner, WaitOnOwner};
use loom::thread;

use crate::gate::{Gates, behind};
use crate::ghost::{self, Lock};
use crate::kinds::{ended, one_victim, promised};
use crate::runner::{Search, check, reports, twin};

const THREE_TASKS: Search = Search::Bounded(3, "three tasks: the whole takes hours");
const BRIEFLY: Search = Search::Bounded(2, "over 250,000 executions with three preemptions");

/// A task waits for a lock, its holder to write, and whoever reads gives that back before it wants a lock of the first
/// task's: there never is a cycle, but edges of different moments look like one.
#[test]
fn a_reader_that_has_given_back_is_not_waited_for() {
    check("a_reader_that_has_given_back_is_not_waited_for", BRIEFLY, || {
        let mut gates = Gates::new();
        reports::reset();
        let (table, log) = (Arc::new(RwLock::named("table", ())), Arc::new(Lock::named("log")));
        let first = Arc::new(Lock::named("first"));
        let (reads, wanted) = (table.clone(), first.clone());
        let reader = behind(&mut gates, move |gate| {
            ghost::task("reader", |me| {
                let read = reads.checked_read().unwrap();
                let noted = me.holds("lock `table`");
                gate.pass();
                drop(noted);
                drop(read);
                ended(wanted.take(me))
            })
        });
        let held = log.clone();
        let writer = behind(&mut gates, move |gate| {
            ghost::task("writer", |me| {
                let _held = held.take(me).unwrap();
                gate.pass();
                ended(me.waits("lock `table`", || table.checked_write()))
            })
        });
        let mine = ghost::task("asks", |me| {
            let _first = first.take(me).unwrap();
            gates.open();
            ended(log.take(me))
        });
        let all = [mine, writer.join().unwrap(), reader.join().unwrap()];
        assert_eq!(one_victim(all), 0, "a report without a cycle");
    });
}

#[test]
fn a_look_forwards_only_believes_in_a_reader_that_has_given_back() {
    twin("forward-only", "handing::a_reader_that_has_given_back_is_not_waited_for", "a false report");
}

const RELOCKED: Search = Search::Bounded(3, "over a million executions without a bound");

/// The right to upgrade passes from one task to another and is wanted back. (`relock2`)
#[test]
fn the_right_to_upgrade_is_of_whoever_took_it_last() {
    check("the_right_to_upgrade_is_of_whoever_took_it_last", RELOCKED, || {
        let mut gates = Gates::new();
        reports::reset();
        let (table, log) = (Arc::new(RwLock::named("table", ())), Arc::new(Lock::named("log")));
        let (reads, logs) = (table.clone(), log.clone());
        let other = behind(&mut gates, move |gate| {
            ghost::task("t1", |me| {
                gate.pass();
                // It is free, or will be: whoever has it waits for nothing.
                let _read = me.waits("lock `table`", || reads.upgradable_read());
                let _noted = me.holds("lock `table`");
                ended(logs.take(me))
            })
        });
        let mine = ghost::task("t0", |me| {
            let read = table.upgradable_read();
            gates.open();
            drop(read);
            let _held = log.take(me).unwrap();
            let again = || drop(table.upgradable_read());
            // It has no error to return.
            me.waits("lock `table`", || std::panic::catch_unwind(std::panic::AssertUnwindSafe(again)))
        });
        let theirs = other.join().unwrap();
        assert!(mine.is_ok() || theirs.is_ok(), "two victims of one cycle");
        assert_eq!(reports::count(), usize::from(mine.is_err()) + usize::from(theirs.is_err()));
    });
}

#[test]
fn who_may_upgrade_and_is_forgotten_by_another_is_not_found() {
    twin("forget-after-unlock", "handing::the_right_to_upgrade_is_of_whoever_took_it_last", "deadlock;");
}

/// A promise is kept by a task that then wants a lock of whoever waited for it: there never is a cycle.
#[test]
fn whoever_has_kept_a_promise_is_not_waited_for() {
    check("whoever_has_kept_a_promise_is_not_waited_for", Search::Exhaustive, || {
        let mut gates = Gates::new();
        reports::reset();
        let (log, (answer, keep)) = (Arc::new(Lock::named("log")), promise_named::<()>("answer"));
        let logs = log.clone();
        let keeper = behind(&mut gates, move |gate| {
            ghost::task("keeper", |me| {
                let (keep, noted) = (keep.hold(), me.holds("promise `answer`"));
                gate.pass();
                drop(noted);
                keep.resolve(());
                ended(logs.take(me))
            })
        });
        let mine = ghost::task("waiter", |me| {
            let _held = log.take(me).unwrap();
            gates.open();
            promised(me.waits("promise `answer`", || answer.wait()))
        });
        assert_eq!(one_victim([mine, keeper.join().unwrap()]), 0, "a report without a cycle");
    });
}

#[test]
fn whoever_has_kept_a_promise_and_is_still_waited_for_is_reported() {
    twin("settled-provides", "handing::whoever_has_kept_a_promise_is_not_waited_for", "a false report");
}

/// A promise that nobody in particular is to keep is handed to an owner whose job wants a lock of whoever waits for it:
/// by that it is a deadlock, if it was the last step to it, and one of the two waits is refused.
#[test]
fn a_promise_that_is_handed_to_whoever_waits_is_a_deadlock() {
    check("a_promise_that_is_handed_to_whoever_waits_is_a_deadlock", THREE_TASKS, || {
        let mut gates = Gates::new();
        reports::reset();
        let (vm, owner) = Owner::builder("vm").wait_on_owner(WaitOnOwner::Detect).attach(());
        let (answer, keep): (Promise<()>, Resolver<()>) = promise_named("answer");
        let log = Arc::new(Lock::named("log"));
        let wanted = log.clone();
        let (tell, told) = std::sync::mpsc::channel();
        let job = move |(): &()| tell.send(ended(wanted.take(&ghost::me()))).unwrap();
        vm.post("job", job).unwrap();
        let waiter = behind(&mut gates, move |gate| {
            ghost::task("waiter", |me| {
                let _held = log.take(me).unwrap();
                gate.pass();
                promised(me.waits("promise `answer`", || answer.wait()))
            })
        });
        let keeps = ghost::named("owner `vm`").holds("promise `answer`");
        let hands = thread::spawn(move || {
            vm.post_with("answer", keep, |(), keep| keep.resolve(())).unwrap();
            vm.close();
        });
        gates.open();
        owner.run();
        drop(keeps);
        hands.join().unwrap();
        assert_eq!(one_victim([told.try_recv().unwrap(), waiter.join().unwrap()]), 1, "it is one in the end");
    });
}

#[test]
fn a_promise_that_is_handed_over_without_a_word_is_a_deadlock_that_nobody_finds() {
    let test = "handing::a_promise_that_is_handed_to_whoever_waits_is_a_deadlock";
    twin("narrow-tells-nobody", test, "deadlock;");
}

/// A lock is given back, taken by the last task that knows of it, and gone, while others look who holds it.
#[test]
fn a_lock_that_is_gone_is_not_looked_at() {
    check("a_lock_that_is_gone_is_not_looked_at", THREE_TASKS, || {
        let mut gates = Gates::new();
        reports::reset();
        let (kept, brief) = (Arc::new(Lock::named("kept")), Arc::new(Lock::named("brief")));
        let (keeps, last) = (kept.clone(), brief.clone());
        let frees = behind(&mut gates, move |gate| {
            ghost::task("frees", |me| {
                let _held = keeps.take(me).unwrap();
                gate.pass();
                let taken = ended(last.take(me));
                drop(last);
                taken
            })
        });
        let gives = behind(&mut gates, move |gate| {
            ghost::task("gives", |me| {
                let held = brief.take(me).unwrap();
                gate.pass();
                drop(held);
                drop(brief);
            })
        });
        gates.open();
        let mine = ghost::task("looks", |me| ended(kept.take(me)));
        gives.join().unwrap();
        assert_eq!(one_victim([mine, frees.join().unwrap()]), 0, "a report without a cycle");
    });
}

#[test]
fn a_waiter_that_leaves_during_a_look_frees_what_is_looked_at() {
    twin("leave-during-look", "handing::a_lock_that_is_gone_is_not_looked_at", "Causality violation");
}
