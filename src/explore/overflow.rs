//! A coroutine that overflows its stack, named before the process ends.
//!
//! The page below a stack is never mapped, so the overflow is a fault. The handler runs on the thread's alternate
//! stack, which the standard library sets up for every thread. A fault that is not ours goes back to whoever
//! handled it before.

#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
pub(super) use linux::install;

/// Elsewhere an overflow ends the process as the system sees fit.
#[cfg(not(target_os = "linux"))]
pub(super) fn install() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::mem::MaybeUninit;
    use std::sync::OnceLock;

    use crate::explore::execution::{Execution, running};

    /// A fault this far around the end of the stack is an overflow: a frame may reach past the guard page.
    const NEAR: usize = 64 * 1024;

    static BEFORE: OnceLock<[libc::sigaction; 2]> = OnceLock::new();
    const SIGNALS: [i32; 2] = [libc::SIGSEGV, libc::SIGBUS];

    /// Puts the handler in place, once per process.
    pub(in super::super) fn install() {
        BEFORE.get_or_init(|| {
            SIGNALS.map(|signal| {
                // SAFETY: both structures are valid for all zeroes, and the handler only writes and ends the
                // process, or puts the handler back that was there.
                unsafe {
                    let mut ours: libc::sigaction = MaybeUninit::zeroed().assume_init();
                    let mut before: libc::sigaction = MaybeUninit::zeroed().assume_init();
                    ours.sa_sigaction = on_fault as *const () as usize;
                    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                    libc::sigaction(signal, &raw const ours, &raw mut before);
                    before
                }
            })
        });
    }

    extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        let (lowest, task) = running(Execution::stack_in_use).flatten().unwrap_or_default();
        // SAFETY: the kernel passes a valid siginfo, whose address is that of the fault.
        let address = unsafe { (*info).si_addr() } as usize;
        if lowest != 0 && address.abs_diff(lowest) < NEAR {
            say(b"\nimpasse: task ");
            say(&[b'0' + task / 10, b'0' + task % 10]);
            say(b" of an exploration (00 is the explored closure, the others in the order in which they were \
                  first started) overflowed its stack. Enlarge it: Explorer::builder().stack_size(bytes)\n");
            // SAFETY: ends the process.
            unsafe { libc::abort() }
        }
        let Some(before) = BEFORE.get() else { return };
        let place = usize::from(signal == libc::SIGBUS);
        // SAFETY: what was there before; the faulting instruction runs again and faults into it.
        unsafe { libc::sigaction(signal, &raw const before[place], std::ptr::null_mut()) };
    }

    fn say(text: &[u8]) {
        // SAFETY: the bytes are valid for their length; write is safe in a signal handler.
        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    }
}
