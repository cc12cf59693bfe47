//! An allocator that counts, for the measures of what is allocated.
//!
//! It counts by thread, in plain cells: it costs the other measures next to nothing. Each figure is of one
//! thread that allocates and frees on its own.

#![allow(unsafe_code)]
#![allow(dead_code, reason = "each bench counts something else")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note(allocations: u64, bytes: i64) {
    ALLOCATIONS.set(ALLOCATIONS.get() + allocations);
    LIVE.set(LIVE.get() + bytes);
}

// SAFETY: everything is passed on to the system's allocator as it came; the cells need no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size as i64 - layout.size() as i64);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// What this thread has allocated by now.
pub(crate) fn so_far() -> u64 {
    ALLOCATIONS.get()
}

/// Allocations while `f` runs, per operation.
pub(crate) fn allocations<R>(ops: u64, f: impl FnOnce() -> R) -> f64 {
    let before = so_far();
    f();
    (so_far() - before) as f64 / ops as f64
}

/// Bytes that are live after `f` and were not before.
pub(crate) fn growth<R>(f: impl FnOnce() -> R) -> (f64, R) {
    let before = LIVE.get();
    let out = f();
    ((LIVE.get() - before) as f64, out)
}
