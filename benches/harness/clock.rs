//! The processor time of a thread, and the processor that a thread runs on.

use std::time::Duration;

/// Counts the processor time that this thread uses.
pub(crate) struct Watch(Duration);

impl Watch {
    pub(crate) fn start() -> Self {
        Self(now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        now() - self.0
    }
}

#[cfg(unix)]
fn now() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Wall time, where the other is not to be had.
#[cfg(not(unix))]
fn now() -> Duration {
    use std::sync::LazyLock;
    use std::time::Instant;
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// Keeps this thread on the `nth` of the processors that it may use.
#[cfg(target_os = "linux")]
pub(crate) fn pin(nth: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).expect("a thread may ask where it runs");
    let processors = (0..CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor));
    let mut own = CpuSet::new();
    own.set(processors.cycle().nth(nth).expect("there is a processor"));
    sched_setaffinity(None, &own).expect("the processor is one of those allowed");
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(_: usize) {}
