//! Takes chance out: std's hashers and `fastrand` start from the same numbers in each run.
//!
//! Hashes decide which keys share a shard and which slots are tried, and so how many instructions that takes.

#![allow(unsafe_code)]

use std::ffi::{c_uint, c_void};

pub(crate) fn fix() {
    fastrand::seed(7);
}

/// What std asks for the keys of its hashers, in place of the system's function.
///
/// # Safety
///
/// `to` is valid for writes of `length` bytes, as the system's function demands.
// SAFETY: the name is that of the system's function, and this fulfils its contract, but for chance.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(to: *mut c_void, length: usize, _flags: c_uint) -> isize {
    // SAFETY: as the caller promises.
    unsafe { to.write_bytes(0x5a, length) };
    length as isize
}
