//! A small harness for ratios between contenders.
//!
//! The set-up, and what each part of it is against:
//!
//! - **Rounds in turn, in rotated order.** The contenders of a measure run one after the other, round after
//!   round, so that whatever else the machine does meets all of them. Each round begins with the next
//!   contender, so that none always runs first. Medians over all rounds are compared.
//! - **Processor time on one thread.** Rows that need one thread count the processor time of that thread
//!   ([`Watch`]): a neighbour on the machine that takes the processor away does not count. Where a runtime is
//!   needed, its `block_on` polls on the thread that is measured.
//! - **Pinned threads.** Where there are no tasks and not more threads than processors, each thread has a
//!   processor of its own ([`crowd::run`]), and wall time counts. Crowds on a runtime, and more threads than
//!   processors, are placed by the scheduler, and wall time counts as well.
//! - **One build for all.** `[profile.bench]` has thin LTO and one codegen unit, so that no crate gains from the
//!   borders of its compilation units. `--profile bench-plain` is a release build without these; a run's
//!   [profile](report::profile) is printed first.
//! - **Every ratio.** The first contender of a measure is ours. Each other row says how our median compares with
//!   its own, whether a goal is set for that or not. Rows of crowds say for each contender how many times the mean
//!   its greediest member made: a lock is fast that serves one member nearly always.
//!
//! Where the compiler must not see what a call returns, it is lent to `black_box`, not moved into it: a move may copy
//! in one piece what was written in two, and the processor then waits longer than the call takes.
//!
//! What a machine that is busy does to two threads or to a crowd, no set-up takes away: those rows want a quiet
//! one.

mod clock;
pub(crate) mod crowd;
mod measure;
mod report;

use std::time::Duration;

pub(crate) use self::clock::Watch;
pub(crate) use self::measure::{Measure, Round};
pub(crate) use self::report::Report;

/// Nanoseconds an operation, of `ops` that took `time` together.
pub(crate) fn per_op(time: Duration, ops: u64) -> f64 {
    time.as_nanos() as f64 / ops as f64
}
