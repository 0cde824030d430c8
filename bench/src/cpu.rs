//! Where a thread runs: on Linux it can be held on one processor.

#![allow(unsafe_code)]

use std::hint::black_box;
use std::io;
use std::sync::mpsc;
use std::thread;

/// A processor, by the number that the system gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu(usize);

/// The first two processors that the calling thread may run on. In a container these need not be 0 and 1.
///
/// # Errors
///
/// There are no two, or the system does not tell.
#[cfg(target_os = "linux")]
pub fn first_two() -> io::Result<[Cpu; 2]> {
    // SAFETY: a `cpu_set_t` is an array of integers, for which zeros are a value.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer leads to a set of the size that is said; 0 is the calling thread.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: every number asked for is below the size of the set.
    let allowed = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    let mut cpus = (0..libc::CPU_SETSIZE as usize).filter(allowed).map(Cpu);
    match (cpus.next(), cpus.next()) {
        (Some(first), Some(second)) => Ok([first, second]),
        _ => Err(io::Error::other("this needs two processors")),
    }
}

/// Holds the calling thread on `cpu`. Threads that it starts from then on stand there too.
///
/// # Errors
///
/// The system refuses.
#[cfg(target_os = "linux")]
pub fn pin(cpu: Cpu) -> io::Result<()> {
    // SAFETY: as above.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number came out of such a set, so it is below its size.
    unsafe { libc::CPU_SET(cpu.0, &mut set) };
    // SAFETY: the pointer leads to a set of the size that is said; 0 is the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(target_os = "linux"))]
pub fn first_two() -> io::Result<[Cpu; 2]> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub fn pin(_: Cpu) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Starts a thread that keeps `cpu` busy until the process ends.
///
/// # Errors
///
/// The thread could not be pinned: it would be in the way somewhere else.
pub fn keep_busy(cpu: Cpu) -> io::Result<()> {
    let (pinned, result) = mpsc::channel();
    thread::spawn(move || {
        let outcome = pin(cpu);
        let failed = outcome.is_err();
        let _ = pinned.send(outcome);
        if failed {
            return;
        }
        let mut turns = 0_u64;
        loop {
            turns = black_box(turns.wrapping_add(1));
        }
    });
    result.recv().expect("the thread says whether it is pinned")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_has_no_second_processor() {
        let Ok([first, _]) = first_two() else { return };
        let pinned = thread::spawn(move || {
            pin(first).unwrap();
            first_two().map(|_| ())
        });
        assert!(pinned.join().unwrap().is_err());
    }
}
