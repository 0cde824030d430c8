//! Our locks and the peers'.

use std::str::FromStr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::cases::Case;
use super::detect::{self, crossed};
use super::speed::{self, Lock, Shared};
use crate::names::by_name;
use crate::rows::Metrics;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Impasse,
    ParkingLot,
    /// With its feature `deadlock_detection`, which is one for the whole program: so of another version.
    ParkingLotDetecting,
    Std,
    TracingMutex,
    Deloxide,
    NoDeadlocks,
}

/// How a lock is taken: its guard, whatever that is wrapped in.
macro_rules! lock {
    ($mutex:ty, $lock:ident => $guard:expr) => {
        impl Lock for $mutex {
            #[inline]
            fn add(&self) {
                let $lock = self;
                *$guard += 1;
            }

            #[inline]
            fn add_both(&self, other: &Self) {
                let mut outer = {
                    let $lock = self;
                    $guard
                };
                let mut inner = {
                    let $lock = other;
                    $guard
                };
                *outer += 1;
                *inner += 1;
            }
        }
    };
}

macro_rules! shared {
    ($lock:ty, $read:ident => $guard:expr) => {
        impl Shared for $lock {
            #[inline]
            fn read(&self) -> u64 {
                let $read = self;
                *$guard
            }
        }
    };
}

lock!(impasse::sync::Mutex<u64>, it => it.lock());
lock!(parking_lot::Mutex<u64>, it => it.lock());
lock!(parking_lot_detecting::Mutex<u64>, it => it.lock());
lock!(std::sync::Mutex<u64>, it => it.lock().expect("nobody panics"));
lock!(tracing_mutex::stdsync::tracing::Mutex<u64>, it => it.lock().expect("nobody panics"));
lock!(deloxide::Mutex<u64>, it => it.lock());
lock!(no_deadlocks::Mutex<u64>, it => it.lock().expect("nobody panics"));
// Through lock_api: `Shared` has a `read` too.
shared!(impasse::sync::RwLock<u64>, it => (**it).read());
shared!(parking_lot::RwLock<u64>, it => it.read());
shared!(parking_lot_detecting::RwLock<u64>, it => it.read());
shared!(std::sync::RwLock<u64>, it => it.read().expect("nobody panics"));
shared!(tracing_mutex::stdsync::tracing::RwLock<u64>, it => it.read().expect("nobody panics"));
shared!(deloxide::RwLock<u64>, it => it.read());
shared!(no_deadlocks::RwLock<u64>, it => it.read().expect("nobody panics"));

/// Every case of speed with these two constructors.
fn speed<L: Lock, S: Shared>(case: Case, lock: fn(u64) -> L, shared: fn(u64) -> S) -> Option<Metrics> {
    speed_of(speed::TIMES, case, lock, shared)
}

fn speed_of<L: Lock, S: Shared>(
    times: u32,
    case: Case,
    lock: fn(u64) -> L,
    shared: fn(u64) -> S,
) -> Option<Metrics> {
    match case {
        Case::Uncontended => Some(speed::uncontended(times, &lock(0))),
        Case::Nested => Some(speed::nested(times, &lock(0), &lock(0))),
        Case::Contended2 => Some(speed::contended(times, &lock(0))),
        Case::Read1 => Some(speed::read_by_one(times, &shared(0))),
        Case::Read2 => Some(speed::read_by_two(times, &shared(0))),
        Case::DetectAbBa | Case::DetectSeed => None,
    }
}

impl Subject {
    /// In the order of the tables; ours is first.
    pub const ALL: [Self; 7] = [
        Self::Impasse,
        Self::ParkingLot,
        Self::ParkingLotDetecting,
        Self::Std,
        Self::TracingMutex,
        Self::Deloxide,
        Self::NoDeadlocks,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Impasse => "impasse",
            Self::ParkingLot => "parking_lot",
            Self::ParkingLotDetecting => "parking_lot-deadlock_detection",
            Self::Std => "std",
            Self::TracingMutex => "tracing-mutex",
            Self::Deloxide => "deloxide",
            Self::NoDeadlocks => "no_deadlocks",
        }
    }

    /// Two threads that fight for one of its locks do not come to an end, now and then.
    pub fn may_hang(self) -> bool {
        self == Self::NoDeadlocks
    }

    /// One round, or none if the subject has nothing of the kind.
    pub fn measure(self, case: Case) -> Option<Metrics> {
        match (case, self) {
            (Case::DetectAbBa, Self::Impasse) => Some(detect::of_impasse()),
            (Case::DetectSeed, Self::Impasse) => Some(detect::of_the_seed()),
            (Case::DetectSeed, _) => None,
            (Case::DetectAbBa, peer) => peer.detects(),
            (case, Self::Impasse) => speed(case, impasse::sync::Mutex::new, impasse::sync::RwLock::new),
            (case, Self::ParkingLot) => speed(case, parking_lot::Mutex::new, parking_lot::RwLock::new),
            (case, Self::ParkingLotDetecting) => {
                speed(case, parking_lot_detecting::Mutex::new, parking_lot_detecting::RwLock::new)
            }
            (case, Self::Std) => speed(case, std::sync::Mutex::new, std::sync::RwLock::new),
            (case, Self::TracingMutex) => speed(
                case,
                tracing_mutex::stdsync::tracing::Mutex::new,
                tracing_mutex::stdsync::tracing::RwLock::new,
            ),
            (case, Self::Deloxide) => speed(case, deloxide::Mutex::new, deloxide::RwLock::new),
            // It takes microseconds, and many of them where two fight.
            (case, Self::NoDeadlocks) => {
                speed_of(speed::TIMES / 100, case, no_deadlocks::Mutex::new, no_deadlocks::RwLock::new)
            }
        }
    }

    /// A peer closes the cycle of two locks, once: most do not survive it. One that says nothing hangs.
    fn detects(self) -> Option<Metrics> {
        let (tell, told) = mpsc::channel();
        let told_by_panic = tell.clone();
        std::panic::set_hook(Box::new(move |_| {
            let _ = told_by_panic.send(detect::told_after());
        }));
        let detector = tell.clone();
        thread::spawn(move || match self {
            Self::ParkingLotDetecting => {
                thread::spawn(move || {
                    loop {
                        thread::sleep(Duration::from_millis(10));
                        if !parking_lot_detecting::deadlock::check_deadlock().is_empty() {
                            let _ = detector.send(detect::told_after());
                        }
                    }
                });
                crossed([(); 2].map(parking_lot_detecting::Mutex::new), |first, second, met| {
                    let _first = first.lock();
                    met();
                    drop(second.lock());
                });
            }
            Self::Deloxide => {
                let callback = move |_| {
                    let _ = detector.send(detect::told_after());
                };
                deloxide::Deloxide::new().callback(callback).start().expect("it starts");
                crossed([(); 2].map(deloxide::Mutex::new), |first, second, met| {
                    let _first = first.lock();
                    met();
                    drop(second.lock());
                });
            }
            Self::TracingMutex => {
                crossed([(); 2].map(tracing_mutex::stdsync::tracing::Mutex::new), |first, second, met| {
                    let _first = first.lock();
                    met();
                    drop(second.lock());
                });
            }
            Self::NoDeadlocks => {
                crossed([(); 2].map(no_deadlocks::Mutex::new), |first, second, met| {
                    let _first = first.lock();
                    met();
                    drop(second.lock());
                });
            }
            Self::ParkingLot => {
                crossed([(); 2].map(parking_lot::Mutex::new), |first, second, met| {
                    let _first = first.lock();
                    met();
                    drop(second.lock());
                });
            }
            Self::Impasse | Self::Std => {
                crossed([(); 2].map(std::sync::Mutex::new), |first, second, met| {
                    let _first = first.lock();
                    met();
                    drop(second.lock());
                });
            }
        });
        let told = told.recv_timeout(Duration::from_secs(5)).ok();
        Some(told.map_or_else(
            || Metrics::from([("finished".to_owned(), 0.0)]),
            |latency| detect::latency(vec![latency]),
        ))
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        by_name(Self::ALL, |subject| subject.name().to_owned(), name)
    }
}
