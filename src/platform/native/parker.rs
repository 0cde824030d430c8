//! Where a task sleeps until there is a token for it.

#![allow(unsafe_code)]

use std::sync::atomic::AtomicU32;
use std::time::Instant;

use crate::platform::token::{SLEEPS, Token};

/// A token that one task waits for: [`unpark`](Parker::unpark) leaves it, [`park`](Parker::park) takes it.
///
/// A token left twice is one token, and a token may be a leftover from an earlier wait, so a park always
/// stands in a loop that looks at what it really waits for.
///
/// It is a word and no lock with a condition: by those a call beside a busy neighbour takes 2 to 3 % longer.
#[derive(Debug, Default)]
pub(crate) struct Parker(Token);

impl Parker {
    /// Blocks until the token is there, then takes it.
    pub(crate) fn park(&self) {
        while !self.0.is_taken() {
            sleep(self.0.word(), None);
        }
    }

    /// Blocks until the token is there, then takes it, or until this moment; says whether the time is up.
    pub(crate) fn park_until(&self, deadline: Instant) -> bool {
        while !self.0.is_taken() {
            if Instant::now() >= deadline {
                return !self.0.is_taken_at_last();
            }
            sleep(self.0.word(), Some(deadline));
        }
        false
    }

    /// Leaves the token and wakes the task.
    pub(crate) fn unpark(&self) {
        if self.0.leave() {
            wake(self.0.word());
        }
    }
}

/// Sleeps while the word says so, until somebody wakes it, or for no reason.
#[cfg(target_os = "linux")]
fn sleep(word: &AtomicU32, deadline: Option<Instant>) {
    let timeout = deadline.map(|deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        libc::timespec {
            tv_sec: libc::time_t::try_from(left.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: left.subsec_nanos().into(),
        }
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word and the time are there while the call lasts. Whatever it returns, the caller looks again.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            SLEEPS,
            timeout,
        )
    };
}

#[cfg(target_os = "linux")]
fn wake(word: &AtomicU32) {
    // SAFETY: the word is only an address to this call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1) };
}

/// Sleeps while the word says so, until somebody wakes it, or for no reason.
#[cfg(not(target_os = "linux"))]
fn sleep(word: &AtomicU32, deadline: Option<Instant>) {
    use parking_lot_core::{DEFAULT_PARK_TOKEN, park};
    let sleeps = || word.load(std::sync::atomic::Ordering::Relaxed) == SLEEPS;
    // SAFETY: the address is that of a word that is ours; none of these closures parks or panics.
    unsafe { park(word.as_ptr().addr(), sleeps, || {}, |_, _| {}, DEFAULT_PARK_TOKEN, deadline) };
}

#[cfg(not(target_os = "linux"))]
fn wake(word: &AtomicU32) {
    use parking_lot_core::{DEFAULT_UNPARK_TOKEN, unpark_one};
    // SAFETY: as above.
    unsafe { unpark_one(word.as_ptr().addr(), |_| DEFAULT_UNPARK_TOKEN) };
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_token_is_taken_once_and_a_time_passes() {
        let parker = Parker::default();
        parker.unpark();
        parker.unpark();
        parker.park();
        let began = Instant::now();
        assert!(parker.park_until(began + Duration::from_millis(20)));
        assert!(began.elapsed() >= Duration::from_millis(20));
        parker.unpark();
        assert!(!parker.park_until(began), "a token that is there counts, however late");
        assert!(parker.park_until(began));
    }

    #[test]
    fn whoever_sleeps_is_woken() {
        let [here, there] = [(); 2].map(|()| Parker::default());
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    here.park();
                    there.unpark();
                }
            });
            for _ in 0..1_000 {
                here.unpark();
                assert!(!there.park_until(Instant::now() + Duration::from_secs(60)));
            }
        });
    }
}
