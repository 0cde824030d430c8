//! The door and the graph, on locks: resources whose provider changes while others look.

use std::sync::Arc;

use impasse::Deadlock;
use loom::thread;

use crate::gate::{Gates, behind};
use crate::ghost::{self, Guard, Lock, Me};
use crate::runner::{Search, check, reports, twin};

/// The lock; nobody cancels anything here.
fn take<'a>(me: &Me, lock: &'a Lock) -> Result<Guard<'a>, Deadlock> {
    lock.take(me).map_err(|error| error.deadlock().expect("nobody cancels"))
}

/// Takes `first`, then `second`.
fn both(me: &Me, first: &Lock, second: &Lock) -> Result<(), Deadlock> {
    let _first = take(me, first)?;
    let _second = take(me, second)?;
    Ok(())
}

/// Two tasks take two locks in opposite orders: whoever closes the cycle is told, the other one gets through.
#[test]
fn of_two_crossed_waits_exactly_one_is_the_victim() {
    check("of_two_crossed_waits_exactly_one_is_the_victim", Search::Exhaustive, || {
        reports::reset();
        let (a, b) = (Arc::new(Lock::named("a")), Arc::new(Lock::named("b")));
        let (a2, b2) = (a.clone(), b.clone());
        let other = thread::spawn(move || ghost::task("t2", |me| both(me, &b2, &a2)));
        let mine = ghost::task("t1", |me| both(me, &a, &b));
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

#[test]
fn without_a_tie_break_both_closers_are_victims() {
    let test = "locks::of_two_crossed_waits_exactly_one_is_the_victim";
    // The second report rests on the wait of the first victim.
    twin("no-tie-break", test, "a false report");
}

const THREE_TASKS: Search = Search::Bounded(3, "three tasks, three locks: the whole takes hours");

/// What the third task does with the guard of `r1`, with `r1` and with `r2`.
type ThirdTask = fn(&Me, Guard<'_>, &Lock, &Lock) -> Result<(), Deadlock>;

/// Three locks: this thread holds `r2` and wants `r0`, the second holds `r0` and wants `r1`, and the third,
/// which holds `r1`, does `act` with `r1` and `r2`. Returns the errors of the three.
fn three_in_a_row(act: ThirdTask) -> Vec<Deadlock> {
    let mut gates = Gates::new();
    reports::reset();
    let [r0, r1, r2] = ["r0", "r1", "r2"].map(|name| Arc::new(Lock::named(name)));
    ghost::task("t0", |me| {
        let held = take(me, &r2).unwrap();
        let (first, wanted) = (r0.clone(), r1.clone());
        let second = behind(&mut gates, move |gate| {
            ghost::task("t1", |me| {
                let _held = take(me, &first).unwrap();
                gate.pass();
                take(me, &wanted).map(drop)
            })
        });
        let r2 = r2.clone();
        let third = behind(&mut gates, move |gate| {
            ghost::task("t2", |me| {
                let held = take(me, &r1).unwrap();
                gate.pass();
                act(me, held, &r1, &r2)
            })
        });
        gates.open();
        let mine = take(me, &r0).map(drop);
        drop(held);
        let all = [mine, second.join().unwrap(), third.join().unwrap()];
        all.into_iter().filter_map(Result::err).collect()
    })
}

/// The third task gives `r1` away before it asks for `r2`, so there never is a cycle; but a look can meet
/// edges of different moments that look like one. (`silent3`)
#[test]
fn edges_of_different_moments_are_no_cycle() {
    check("edges_of_different_moments_are_no_cycle", THREE_TASKS, || {
        let errors = three_in_a_row(|me, held, _, r2| {
            drop(held);
            take(me, r2).map(drop)
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
fn a_relaxed_look_shows_edges_of_different_moments() {
    twin("relaxed-look", "locks::edges_of_different_moments_are_no_cycle", "Causality violation");
}

#[test]
fn a_look_forwards_only_believes_edges_of_different_moments() {
    twin("forward-only", "locks::edges_of_different_moments_are_no_cycle", "a false report");
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
        let errors = three_in_a_row(|me, held, r1, r2| {
            drop(held);
            both(me, r1, r2)
        });
        assert!(errors.len() <= 1, "more than one victim of one cycle: {errors:?}");
        assert_eq!(reports::count(), errors.len());
        for deadlock in errors {
            assert_eq!(deadlock.hops().len(), 3);
        }
    });
}

#[test]
fn without_a_tie_break_a_cycle_of_three_has_more_victims() {
    let test = "locks::a_resource_given_away_and_taken_again_closes_a_cycle_or_does_not";
    twin("no-tie-break", test, "a false report");
}
