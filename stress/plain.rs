//! A number without any synchronisation of its own: what a lock must protect.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;

/// Sanitizers see it when two threads touch it at the same time.
#[derive(Debug, Default)]
pub(crate) struct Plain(UnsafeCell<u64>);

// SAFETY: that the callers exclude each other is what is tested.
unsafe impl Sync for Plain {}

impl Plain {
    /// Adds one. The caller holds the number alone.
    pub(crate) fn add(&self) {
        // SAFETY: the lock under test excludes everybody else.
        unsafe { *self.0.get() += 1 };
    }

    /// The number. The caller holds it alone or shares it with other readers.
    pub(crate) fn get(&self) -> u64 {
        // SAFETY: the lock under test excludes writers.
        unsafe { *self.0.get() }
    }
}
