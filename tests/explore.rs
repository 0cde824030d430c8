//! The explorer as its users meet it: what it verifies, what it finds, and how it says so.
#![cfg(not(loom))]

use std::cell::Cell;
use std::sync::Arc;

use impasse::explore::{Explorer, Report, Verdict};
use impasse::sync::Mutex;
use impasse::{Owner, thread};

/// S sessions, each with J jobs for one owner: J - 1 calls, and a post that says it is through. The owner runs
/// on the explored closure itself, until the last job has closed it.
fn protocol(sessions: usize, jobs: usize) -> impl Fn() + Send + Sync + 'static {
    move || {
        let (vm, main_loop) = Owner::builder("vm").attach(Cell::new(0));
        let spawn = |session: usize| {
            let vm = vm.clone();
            let body = move || {
                for _ in 1..jobs {
                    vm.call("callback", |count: &Cell<usize>| count.set(count.get() + 1)).unwrap();
                }
                let end = vm.clone();
                let settle = move |count: &Cell<usize>| {
                    count.set(count.get() + 1);
                    if count.get() == sessions * jobs {
                        end.close();
                    }
                };
                vm.post("settle", settle).unwrap();
            };
            thread::spawn(&format!("session {session}"), body).unwrap()
        };
        let sessions: Vec<_> = (0..sessions).map(spawn).collect();
        main_loop.run();
        for session in sessions {
            session.join().unwrap();
        }
    }
}

/// How many orders there are of S sequences of J jobs each.
fn orders(sessions: u64, jobs: u64) -> u64 {
    (1..sessions).flat_map(|s| (1..=jobs).map(move |j| (s * jobs + j, j))).fold(1, |n, (a, b)| n * a / b)
}

#[test]
fn every_order_is_explored_once() {
    for (s, j) in [(1, 1), (1, 4), (2, 1), (2, 2), (2, 3), (2, 4), (3, 1), (3, 2), (3, 3), (4, 2), (3, 4)] {
        let report = Explorer::builder().explore(protocol(s as usize, j as usize));
        println!("{s} sessions of {j} jobs: {report}");
        report.assert_verified();
        assert_eq!((report.executions(), report.redundant()), (orders(s, j), 0), "{s} x {j}");
    }
}

fn ab_ba() {
    let (a, b) = (Arc::new(Mutex::named("a", ())), Arc::new(Mutex::named("b", ())));
    let (a2, b2) = (a.clone(), b.clone());
    let other = thread::spawn("other", move || {
        let _b = b2.lock()?;
        let _a = a2.lock()?;
        Ok::<_, impasse::Deadlock>(())
    });
    {
        let held = a.lock().unwrap();
        let _ = b.lock().map(drop);
        drop(held);
    }
    let _ = other.unwrap().join().unwrap();
}

#[test]
fn a_lock_order_inversion_is_found_and_explained() {
    let report = Explorer::builder().explore(ab_ba);
    println!("{report}");
    assert_eq!(report.verdict(), Verdict::Deadlock);
    let _: Report = report;
}
