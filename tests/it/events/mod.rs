//! Tracing events of keyed locks, of waits that last, of retries and of blocked workers.
//!
//! `tracing` remembers of each place in the code whether a subscriber wants it, and a thread without a subscriber may be the
//! first at that place. So each test runs in a process of its own, in which every thread has one.

mod capture;
mod guide;
mod keyed;
mod long_waits;
mod others;
mod span_ends;
