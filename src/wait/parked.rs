//! Counts the workers of runtimes that are blocked, by `wait()` or by a retry on a thread, and warns if they are many.

#[cfg(feature = "tracing")]
pub(super) use self::traced::Parked;
#[cfg(not(feature = "tracing"))]
pub(super) use self::untraced::Parked;

#[cfg(feature = "tracing")]
mod traced {
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The number from which there is a warning: an eighth of the threads that tokio has for them by default.
    const MANY: usize = 64;

    /// The number of workers, of all runtimes, that are handed over now.
    static PARKED: AtomicUsize = AtomicUsize::new(0);
    /// The highest number that a warning was emitted for.
    static WARNED: AtomicUsize = AtomicUsize::new(0);

    /// A worker that has handed its tasks over.
    pub(in super::super) struct Parked(());

    impl Parked {
        /// Counts one more, and warns each time that the highest number has doubled.
        pub(in super::super) fn count() -> Self {
            let count = PARKED.fetch_add(1, Ordering::Relaxed) + 1;
            // Created first, so that it is counted off even if the subscriber panics.
            let parked = Self(());
            let is_many = count >= MANY && count.is_power_of_two();
            if is_many && WARNED.fetch_max(count, Ordering::Relaxed) < count {
                tracing::warn!(
                    target: "latchwork",
                    parked = count,
                    "many tasks block their workers, and each uses a blocking thread of its runtime"
                );
            }
            parked
        }
    }

    impl Drop for Parked {
        fn drop(&mut self) {
            PARKED.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod untraced {
    /// Without tracing nothing is counted.
    pub(in super::super) struct Parked;

    impl Parked {
        pub(in super::super) fn count() -> Self {
            Self
        }
    }
}
