//! How long to look before parking.
//!
//! A sleeping thread takes microseconds to wake, and an answer is often there sooner. Whether looking pays depends
//! on where the partner runs, and on luck; so the rule learns:
//!
//! - The partner last ran on another processor: look for about 20 us.
//! - On the same one: yield to it, up to 16 times. A yield that takes longer than 50 us went to somebody else;
//!   it is charged, and each yield is timed from then on for a while.
//! - Looking in vain three times in a row: park the next 8 waits at once, then 16, up to 1,024. Success resets
//!   that.
//!
//! Measured against a fixed spin (which costs 100 us a call where both share a processor) and a plain yield
//! (1.4 ms beside a busy neighbour): `cargo run --release -p impasse-bench -- roundtrip`. In a model there is
//! nothing to gain: it parks.

use std::cell::Cell;
use std::hint::spin_loop;
use std::time::Instant;

use super::scheduler;
use crate::platform;

const SPINS: u32 = 2_000;
const YIELDS: u32 = 16;
const FEWEST_PARKED: u32 = 8;
const MOST_PARKED: u32 = 1_024;
/// Failures in a row after which waits are parked at once.
const TRIES: u32 = 2;
/// A yield that took longer, in microseconds, went to somebody else.
const LONG_YIELD: u128 = 50;
/// For each microsecond of it, how many waits are parked at once: those of a busy neighbour take about 10 us each, so
/// that it costs them half a percent. And at most, which is about a second.
const PARKED_FOR_IT: u32 = 20;
const MOST_PARKED_FOR_IT: u32 = 100_000;
/// How many waits are timed after a long yield; otherwise it is one in eight.
const SUSPICIOUS: u32 = 257;

/// What a task has learnt of waiting.
#[derive(Default)]
pub(crate) struct Patience {
    /// Failures in a row.
    failed: Cell<u32>,
    /// How many waits were parked at once after the last failure.
    back_off: Cell<u32>,
    /// How many are still to be.
    parks: Cell<u32>,
    waits: Cell<u32>,
    /// How many waits are still to be timed.
    suspicious: Cell<u32>,
}

impl Patience {
    /// Whether the wait that begins is one that looks.
    #[inline]
    pub(crate) fn may_pay(&self) -> bool {
        if scheduler::is_explored() {
            return false;
        }
        let parks = self.parks.get();
        self.parks.set(parks.saturating_sub(1));
        parks == 0
    }

    /// Looks for a while whether it is `ready`; says whether it was. `partner` is the processor on which whoever
    /// can make it so ran last.
    pub(crate) fn pays(&self, partner: impl Fn() -> u32, ready: impl Fn() -> bool) -> bool {
        if !platform::CAN_SPIN {
            return false;
        }
        let mut charged = 0;
        let came = match (platform::processor(), partner()) {
            (Some(here), there) if there != here && there != u32::MAX => spin(ready),
            _ => self.yield_to(ready, &mut charged),
        };
        if came && charged == 0 {
            self.suspicious.set(self.suspicious.get().saturating_sub(1));
            self.failed.set(0);
            self.back_off.set(0);
            return true;
        }
        self.failed.set(self.failed.get() + 1);
        if self.failed.get() > TRIES {
            self.back_off.set((self.back_off.get() * 2).clamp(FEWEST_PARKED, MOST_PARKED));
            self.parks.set(self.back_off.get());
        }
        self.parks.set(self.parks.get().max(charged));
        came
    }

    fn yield_to(&self, ready: impl Fn() -> bool, charged: &mut u32) -> bool {
        self.waits.set(self.waits.get().wrapping_add(1));
        let timed = self.suspicious.get() > 0 || self.waits.get().is_multiple_of(8);
        let mut before = timed.then(Instant::now);
        for _ in 0..YIELDS {
            if ready() {
                return true;
            }
            std::thread::yield_now();
            if let Some(began) = before {
                let now = Instant::now();
                let took = now.duration_since(began).as_micros();
                before = Some(now);
                if took > LONG_YIELD {
                    let came = ready();
                    if came {
                        let took = u32::try_from(took).unwrap_or(u32::MAX);
                        *charged = took.saturating_mul(PARKED_FOR_IT).min(MOST_PARKED_FOR_IT);
                        self.suspicious.set(SUSPICIOUS);
                    }
                    return came;
                }
            }
        }
        ready()
    }
}

fn spin(ready: impl Fn() -> bool) -> bool {
    for _ in 0..SPINS {
        if ready() {
            return true;
        }
        spin_loop();
    }
    ready()
}
