//! How long to look before parking.
//!
//! A sleeping thread takes microseconds to wake, and an answer is often there sooner. Whether looking pays depends
//! on where the partner runs, and on luck; so the rule learns:
//!
//! - The partner last ran on another processor: look for about 20 us.
//! - On the same one: yield to it, up to 16 times. A yield that takes longer than 50 us went to somebody else. Then
//!   nobody yields on that processor for a long while: there a yield gives away a time slice, even one that ends at once
//!   (Linux takes what is left of it from whoever yields).
//! - Looking in vain three times in a row: park the next 8 waits at once, then 16, up to 1,024. Success resets
//!   that.
//!
//! Measured against a fixed spin (which costs 100 us a call where both share a processor) and a plain yield
//! (1.4 ms beside a busy neighbour): `cargo run --release -p impasse-bench -- roundtrip`. In a model there is
//! nothing to gain: it parks.

use std::cell::Cell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
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
/// For each microsecond of the first one, how many waits are then parked at once on that processor. After the next one it
/// is four times as many, and so on, up to `MOST_CROWDED`, which is a second or two.
const CROWDED: u32 = 5;
const MOST_CROWDED: u32 = 400_000;
/// How many waits are timed after a long yield; otherwise it is one in eight. If none of them meets another one, whoever
/// ran there has gone.
const SUSPICIOUS: u32 = 257;

/// What is known of each processor, or of a few.
static CROWDS: [Crowd; 64] = [const { Crowd::nobody() }; 64];

/// Whether somebody else runs there too. No more than a hint: nobody minds if two count at the same time.
#[repr(align(64))]
struct Crowd {
    /// How many waits are still to be parked at once.
    parks: AtomicU32,
    /// How many they were after the last long yield.
    before: AtomicU32,
}

impl Crowd {
    const fn nobody() -> Self {
        Self { parks: AtomicU32::new(0), before: AtomicU32::new(0) }
    }

    /// `u32::MAX` is any processor, where the system does not tell.
    fn of(processor: u32) -> &'static Self {
        &CROWDS[processor as usize % CROWDS.len()]
    }

    fn here() -> &'static Self {
        Self::of(platform::processor().unwrap_or(u32::MAX))
    }

    /// A yield took so many microseconds.
    fn comes(&self, took: u32) {
        let first = took.saturating_mul(CROWDED).min(MOST_CROWDED);
        let parks = self.before.load(Ordering::Relaxed).saturating_mul(4).clamp(first, MOST_CROWDED);
        self.before.store(parks, Ordering::Relaxed);
        self.parks.store(parks, Ordering::Relaxed);
    }

    fn has_gone(&self) {
        self.before.store(0, Ordering::Relaxed);
    }

    fn may_be_there(&self) -> bool {
        self.parks.load(Ordering::Relaxed) > 0
    }

    /// Whether a wait should be parked at once that would yield there; then it is one of those.
    fn is_there(&self) -> bool {
        let parks = self.parks.load(Ordering::Relaxed);
        if parks > 0 {
            self.parks.store(parks - 1, Ordering::Relaxed);
        }
        parks > 0
    }
}

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
    /// Whether the wait that begins is one that looks. `here` is the processor on which the task ran last, and `partner`
    /// that of whoever can end the wait.
    #[inline]
    pub(crate) fn may_pay(&self, here: u32, partner: impl Fn() -> u32) -> bool {
        if scheduler::is_explored() {
            return false;
        }
        if !platform::CAN_SPIN {
            // A model has an owner look or not, and nobody in it asks where others are.
            return true;
        }
        let parks = self.parks.get();
        if parks > 0 {
            self.parks.set(parks - 1);
            return false;
        }
        let crowd = Crowd::of(here);
        !crowd.may_be_there() || is_elsewhere(here, partner()) || !crowd.is_there()
    }

    /// Looks for a while whether it is `ready`; says whether it was.
    pub(crate) fn pays(&self, partner: impl Fn() -> u32, ready: impl Fn() -> bool) -> bool {
        if !platform::CAN_SPIN {
            return false;
        }
        let came = match platform::processor() {
            Some(here) if is_elsewhere(here, partner()) => spin(ready),
            _ => self.yield_to(ready),
        };
        if came {
            self.trusts();
            self.failed.set(0);
            self.back_off.set(0);
            return true;
        }
        self.failed.set(self.failed.get() + 1);
        if self.failed.get() > TRIES {
            self.back_off.set((self.back_off.get() * 2).clamp(FEWEST_PARKED, MOST_PARKED));
            self.parks.set(self.back_off.get());
        }
        false
    }

    /// Another wait has paid.
    fn trusts(&self) {
        let suspicious = self.suspicious.get();
        if suspicious == 1 {
            Crowd::here().has_gone();
        }
        self.suspicious.set(suspicious.saturating_sub(1));
    }

    fn yield_to(&self, ready: impl Fn() -> bool) -> bool {
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
                    let took = u32::try_from(took).unwrap_or(u32::MAX);
                    Crowd::here().comes(took);
                    self.suspicious.set(SUSPICIOUS);
                    return ready();
                }
            }
        }
        ready()
    }
}

/// Whether the partner is known to run on another processor than this. (One that is not known is `u32::MAX`.)
fn is_elsewhere(here: u32, partner: u32) -> bool {
    here != partner && here != u32::MAX && partner != u32::MAX
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_long_yield_is_followed_by_more_waits_that_are_parked_until_nobody_is_met() {
        let crowd = Crowd::nobody();
        let parked = || std::iter::repeat_with(|| crowd.is_there()).take_while(|is_there| *is_there).count();
        assert_eq!(parked(), 0);
        let after = |took| {
            crowd.comes(took);
            parked()
        };
        assert_eq!([after(100), after(100), after(100)], [500, 2_000, 8_000]);
        assert_eq!(after(4_000), 32_000);
        assert_eq!([after(4_000), after(u32::MAX), after(100)], [128_000, 400_000, 400_000]);
        crowd.has_gone();
        assert_eq!(after(100), 500);
    }
}
