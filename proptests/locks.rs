//! Random programs of locks on real threads: everything ends, what is reported is a cycle, and ordered programs
//! are silent.

use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

use impasse::sync::Mutex;
use impasse::{Deadlock, WaitError};
use proptest::prelude::*;

/// For each thread the transactions it makes: which locks, in which order.
type Program = Vec<Vec<Vec<usize>>>;

fn programs() -> impl Strategy<Value = Program> {
    let transaction = Just(vec![0usize, 1, 2, 3])
        .prop_shuffle()
        .prop_flat_map(|locks| (1..=locks.len()).prop_map(move |many| locks[..many].to_vec()));
    let thread = prop::collection::vec(transaction, 1..12);
    prop::collection::vec(thread, 2..5)
}

/// Runs it; a refused thread gives up its transaction. Returns the reports. A hang ends the process.
fn run(program: Program) -> Vec<Deadlock> {
    let (done, ended) = mpsc::channel();
    let shown = format!("{program:?}");
    std::thread::spawn(move || {
        let locks: Arc<[_; 4]> = Arc::new(std::array::from_fn(|_| Mutex::new(())));
        let start = Arc::new(Barrier::new(program.len()));
        let threads = program.into_iter().map(|transactions| {
            let (locks, start) = (locks.clone(), start.clone());
            std::thread::spawn(move || {
                start.wait();
                let mut refused = Vec::new();
                for transaction in transactions {
                    let mut held = Vec::new();
                    for lock in transaction {
                        match locks[lock].checked_lock() {
                            Ok(guard) => held.push(guard),
                            Err(deadlock) => {
                                refused.push(deadlock);
                                break;
                            }
                        }
                    }
                }
                refused
            })
        });
        let threads: Vec<_> = threads.collect();
        let errors = threads.into_iter().flat_map(|thread| thread.join().unwrap());
        let reports = errors.filter_map(WaitError::deadlock).collect();
        done.send(reports).unwrap();
    });
    match ended.recv_timeout(Duration::from_secs(60)) {
        Ok(reports) => reports,
        Err(_) => {
            // Shrinking would hang again, and again.
            eprintln!("hangs: {shown}\n{:#?}", impasse::waiting_tasks());
            std::process::abort();
        }
    }
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn whatever_is_locked_in_any_order_everything_ends(program in programs()) {
        for deadlock in run(program) {
            let hops = deadlock.hops();
            for (hop, next) in hops.iter().zip(hops.iter().cycle().skip(1)) {
                prop_assert_eq!(&hop.held_by, &next.task);
            }
            let mut tasks: Vec<_> = hops.iter().map(|hop| &hop.task).collect();
            tasks.sort();
            tasks.dedup();
            prop_assert_eq!(tasks.len(), hops.len(), "a task twice in one cycle");
            prop_assert!(hops.len() >= 2, "no program here takes a lock twice");
        }
    }

    #[test]
    fn what_is_locked_in_order_is_never_reported(mut program in programs()) {
        program.iter_mut().flatten().for_each(|transaction| transaction.sort_unstable());
        prop_assert_eq!(run(program), []);
    }
}
