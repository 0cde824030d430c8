//! The door and the graph, on locks: resources whose provider changes while others look.

use std::sync::Arc;

use impasse::Deadlock;
use impasse::sync::{Mutex, MutexGuard};
use loom::sync::mpsc;
use loom::thread;

use crate::runner::{Search, check, reports, twin};

/// The lock; nobody cancels anything here.
fn take(lock: &Mutex<()>) -> Result<MutexGuard<'_, ()>, Deadlock> {
    lock.checked_lock().map_err(|error| error.deadlock().expect("nobody cancels"))
}

/// Takes `first`, then `second`.
fn both(first: &Mutex<()>, second: &Mutex<()>) -> Result<(), Deadlock> {
    let _first = take(first)?;
    let _second = take(second)?;
    Ok(())
}

/// Two tasks take two locks in opposite orders: whoever closes the cycle is told, the other one gets through.
#[test]
fn of_two_crossed_waits_exactly_one_is_the_victim() {
    check("of_two_crossed_waits_exactly_one_is_the_victim", Search::Exhaustive, || {
        reports::reset();
        let (a, b) = (Arc::new(Mutex::named("a", ())), Arc::new(Mutex::named("b", ())));
        let (a2, b2) = (a.clone(), b.clone());
        let other = thread::spawn(move || both(&b2, &a2));
        let mine = both(&a, &b);
        let theirs = other.join().unwrap();
        let victims = [mine, theirs].into_iter().filter_map(Result::err).collect::<Vec<_>>();
        assert!(victims.len() <= 1, "two victims of one cycle");
        assert_eq!(reports::count(), victims.len());
        for victim in victims {
            assert_eq!(victim.hops().len(), 2);
            assert_eq!(victim.hops()[0].held_by, victim.hops()[1].task);
            assert_eq!(victim.hops()[1].held_by, victim.hops()[0].task);
        }
    });
}

#[test]
fn without_the_fence_both_closers_can_miss_the_cycle() {
    twin("no-fence", "locks::of_two_crossed_waits_exactly_one_is_the_victim", "deadlock;");
}

#[test]
fn without_the_detector_two_crossed_waits_hang() {
    twin("detector-off", "locks::of_two_crossed_waits_exactly_one_is_the_victim", "deadlock;");
}

/// Where the threads of a model wait until each holds what it begins with. Getting there is not explored: the
/// search is over everything that can happen from that state on.
struct Gate {
    ready: mpsc::Sender<()>,
    open: mpsc::Receiver<()>,
}

impl Gate {
    fn pass(&self) {
        self.ready.send(()).unwrap();
        self.open.recv().unwrap();
    }
}

type Actor = Box<dyn FnOnce(&Gate) + Send>;

/// Starts the actors, and returns how to let them go.
fn prepared<const N: usize>(actors: [Actor; N]) -> (impl FnOnce(), [thread::JoinHandle<()>; N]) {
    let (ready, all_ready) = mpsc::channel();
    let mut doors = Vec::new();
    let threads = actors.map(|actor| {
        let (door, open) = mpsc::channel();
        doors.push(door);
        let gate = Gate { ready: ready.clone(), open };
        thread::spawn(move || actor(&gate))
    });
    for _ in 0..N {
        all_ready.recv().unwrap();
    }
    let go = move || {
        loom::explore();
        for door in &doors {
            door.send(()).unwrap();
        }
    };
    (go, threads)
}

const THREE_TASKS: Search = Search::Bounded(3, "three tasks, three locks: the whole takes hours");

/// What the third task does with the guard of `r1`, with `r1` and with `r2`.
type ThirdTask = fn(MutexGuard<'_, ()>, &Mutex<()>, &Mutex<()>) -> Result<(), Deadlock>;

/// Three locks: this thread holds `r2` and wants `r0`, the second holds `r0` and wants `r1`, and the third,
/// which holds `r1`, does `act` with `r1` and `r2`. Returns the errors of the three.
fn three_in_a_row(act: ThirdTask) -> Vec<Deadlock> {
    loom::stop_exploring();
    reports::reset();
    let errors = Arc::new(std::sync::Mutex::new(Vec::new()));
    let [r0, r1, r2] = ["r0", "r1", "r2"].map(|name| Arc::new(Mutex::named(name, ())));
    let told = |errors: &Arc<std::sync::Mutex<Vec<Deadlock>>>| {
        let errors = errors.clone();
        move |result: Result<(), Deadlock>| errors.lock().unwrap().extend(result.err())
    };
    let held = r2.lock();
    let (go, threads) = prepared([
        Box::new({
            let (r0, r1, tell) = (r0.clone(), r1.clone(), told(&errors));
            move |gate: &Gate| {
                let _held = r0.lock();
                gate.pass();
                tell(take(&r1).map(drop));
            }
        }),
        Box::new({
            let (r1, r2, tell) = (r1.clone(), r2.clone(), told(&errors));
            move |gate: &Gate| {
                let held = r1.lock();
                gate.pass();
                tell(act(held, &r1, &r2));
            }
        }),
    ]);
    go();
    told(&errors)(take(&r0).map(drop));
    drop(held);
    for thread in threads {
        thread.join().unwrap();
    }
    std::mem::take(&mut errors.lock().unwrap())
}

/// The third task gives `r1` away before it asks for `r2`, so there never is a cycle; but a look can meet
/// edges of different moments that look like one. (`silent3`)
#[test]
fn edges_of_different_moments_are_no_cycle() {
    check("edges_of_different_moments_are_no_cycle", THREE_TASKS, || {
        let errors = three_in_a_row(|held, _, r2| {
            drop(held);
            take(r2).map(drop)
        });
        assert!(errors.is_empty(), "a report without a cycle: {errors:?}");
        assert_eq!(reports::count(), 0);
    });
}

#[test]
fn a_relaxed_publish_shows_edges_of_different_moments() {
    // What is looked at was not published: loom names the race before a verdict comes of it.
    twin("relaxed-publish", "locks::edges_of_different_moments_are_no_cycle", "Causality violation");
}

#[test]
fn a_look_forwards_only_believes_edges_of_different_moments() {
    twin("forward-only", "locks::edges_of_different_moments_are_no_cycle", "a report without a cycle");
}

#[test]
fn a_waiter_that_leaves_during_a_look_takes_away_what_is_looked_at() {
    twin("leave-during-look", "locks::edges_of_different_moments_are_no_cycle", "Causality violation");
}

/// The third task gives `r1` away, takes it again and then asks for `r2`: a cycle in some executions, and one
/// that is nearly closed in others. (`phantom2`)
#[test]
fn a_resource_given_away_and_taken_again_closes_a_cycle_or_does_not() {
    check("a_resource_given_away_and_taken_again_closes_a_cycle_or_does_not", THREE_TASKS, || {
        let errors = three_in_a_row(|held, r1, r2| {
            drop(held);
            both(r1, r2)
        });
        assert!(errors.len() <= 1, "more than one victim of one cycle: {errors:?}");
        assert_eq!(reports::count(), errors.len());
        for deadlock in errors {
            assert_eq!(deadlock.hops().len(), 3);
        }
    });
}
