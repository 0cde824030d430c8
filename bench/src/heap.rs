//! The heap of this process, counted: how many bytes are allocated and not freed.
//!
//! The counter is one word that all threads would fight for, so it stands still until a measurement of memory
//! asks for it. What is measured for time pays for one load that never changes, ours and the peers alike.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

static COUNTING: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicIsize = AtomicIsize::new(0);

/// The system's allocator, with the counter.
pub struct Counted;

/// Counts from now on. What is allocated already will be counted as it is freed, so only differences mean
/// something.
pub fn count() {
    COUNTING.store(true, Ordering::Relaxed);
}

/// The bytes that have been allocated and not freed since [`count`], with what the allocator adds to each block.
pub fn live() -> isize {
    LIVE.load(Ordering::Relaxed)
}

fn add(bytes: impl FnOnce() -> isize) {
    if COUNTING.load(Ordering::Relaxed) {
        LIVE.fetch_add(bytes(), Ordering::Relaxed);
    }
}

// SAFETY: every request is passed on to the system's allocator as it is, and its answer is given back.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let block = unsafe { System.alloc(layout) };
        add(|| size(block, layout));
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract.
        let block = unsafe { System.alloc_zeroed(layout) };
        add(|| size(block, layout));
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        add(|| -size(block, layout));
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Its size has to be asked for while it is there.
        add(|| -size(block, layout));
        // SAFETY: the caller keeps the contract.
        let moved = unsafe { System.realloc(block, layout, new_size) };
        // SAFETY: the caller promises that the new size is valid with this alignment.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // A block that could not grow is still there.
        add(|| if moved.is_null() { size(block, layout) } else { size(moved, new_layout) });
        moved
    }
}

/// What a block takes: glibc rounds up, and keeps a word before it. Counting what was asked for would make small
/// boxes look half as large as they are.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn size(block: *mut u8, _: Layout) -> isize {
    // SAFETY: every caller has a live block of the system's allocator, which is malloc's, or null.
    match unsafe { libc::malloc_usable_size(block.cast()) } {
        0 => 0,
        usable => (usable + size_of::<usize>()) as isize,
    }
}

/// Where there is no knowing, what was asked for.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn size(_: *mut u8, layout: Layout) -> isize {
    layout.size() as isize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So large that no other test of this process matters beside it. Nobody touches the pages.
    const LARGE: usize = 1 << 28;

    #[test]
    fn a_block_counts_from_its_allocation_to_its_end() {
        count();
        let before = live();
        let large_blocks = || (live() - before + LARGE as isize / 2) / LARGE as isize;
        let mut block = Vec::<u8>::with_capacity(LARGE);
        assert_eq!(large_blocks(), 1);
        block.reserve_exact(2 * LARGE);
        assert_eq!(large_blocks(), 2);
        drop(block);
        assert_eq!(large_blocks(), 0);
    }
}
