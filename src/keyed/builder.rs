//! [`KeyedBuilder`]: the settings of keyed locks and semaphores.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use super::lock::KeyedLock;
use super::options::Options;
use super::semaphore::KeyedSemaphore;
use super::table::Table;
use super::timing::{MakeObserver, Timing};
use crate::shards;
use crate::wait::MAX_PERMITS;

/// Builds a [`KeyedLock`] or a [`KeyedSemaphore`] with settings of your own.
///
/// # Examples
///
/// ```
/// use latchwork::KeyedLock;
///
/// let builder = KeyedLock::<String>::builder().name("users").shards(4).show_keys(std::fmt::Display::fmt);
/// let locks = builder.track_times(true).fence_start(41).build();
/// assert_eq!(locks.name(), Some("users"));
/// assert_eq!(locks.lock("ada").wait().fence().get(), 42);
/// assert!(locks.counts().times.is_some());
/// ```
pub struct KeyedBuilder<K, S = RandomState> {
    hasher: S,
    options: Options<K>,
    /// Makes the observer when the name is known.
    observer: Option<MakeObserver>,
}

impl<K: Eq + Hash> KeyedLock<K> {
    /// Creates a lock with no key held.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Creates a builder, which starts with the default settings.
    #[must_use]
    pub fn builder() -> KeyedBuilder<K> {
        KeyedBuilder::new()
    }
}

impl<K: Eq + Hash> Default for KeyedLock<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Eq + Hash> KeyedSemaphore<K> {
    /// Creates a semaphore with this number of permits for each key. For other settings see
    /// [`KeyedBuilder::build_semaphore`].
    ///
    /// # Panics
    ///
    /// If there are more than [`Semaphore::MAX_PERMITS`](crate::Semaphore::MAX_PERMITS).
    #[must_use]
    pub fn new(permits: usize) -> Self {
        KeyedBuilder::new().build_semaphore(permits)
    }
}

impl<K> KeyedBuilder<K> {
    fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            options: Options {
                name: None,
                shards: shards::default_count(),
                fence_start: 0,
                track_times: false,
                track_callers: false,
                long_wait: Duration::from_secs(1),
                #[cfg(feature = "tracing")]
                warnings: Default::default(),
                show_key: None,
                observer: None,
            },
            observer: None,
        }
    }
}

impl<K, S> KeyedBuilder<K, S> {
    /// Sets the lock's name. None by default.
    ///
    /// It is used in events, in the spans of a layer with this lock, and as the label of metrics. So two locks in one
    /// handler can be distinguished.
    #[must_use]
    pub fn name(mut self, name: &'static str) -> Self {
        self.options.name = Some(name);
        self
    }

    /// Sets the number of shards that the keys are divided among, rounded up to a power of two. The default is 16
    /// for each processor, and at least 64.
    ///
    /// # Panics
    ///
    /// If it is zero, or more than 65 536.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.options.shards = shards::count(shards);
        self
    }

    /// Sets the hasher. The default, that of `std`, withstands keys that are chosen to collide, as keys from requests may
    /// be. All 64 bits of the hash are used, so a hasher may return trusted ids as they are.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// use latchwork::KeyedLock;
    ///
    /// let fixed = BuildHasherDefault::<DefaultHasher>::default();
    /// let locks = KeyedLock::<u32>::builder().hasher(fixed).build();
    /// assert!(locks.try_lock(7).is_ok());
    /// ```
    #[must_use]
    pub fn hasher<S2: BuildHasher>(self, hasher: S2) -> KeyedBuilder<K, S2> {
        KeyedBuilder { hasher, options: self.options, observer: self.observer }
    }

    /// Sets whether to measure how long keys are waited for and held. It costs two readings of the clock
    /// for each grant. Off by default.
    #[must_use]
    pub fn track_times(mut self, track: bool) -> Self {
        self.options.track_times = track;
        self
    }

    /// Calls `observer` with each wait that ended with a grant and each hold that has ended, and turns
    /// [`track_times`](Self::track_times) on. Of several observers the last one is called.
    ///
    /// It runs on the thread that acquires or releases, after that and outside every internal
    /// lock. It may use the table; what it does there is reported as well. A grant whose observer panics is
    /// given back. While a thread unwinds, panics of the observer are ignored.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use latchwork::{KeyedLock, Mutex, keyed::Timing};
    ///
    /// let seen = Arc::new(Mutex::new(Vec::new()));
    /// let book = seen.clone();
    /// let builder = KeyedLock::<u32>::builder().observe_times(move |timing| book.lock().wait().push(timing));
    /// let locks = builder.build();
    /// drop(locks.lock(7).wait());
    /// assert!(matches!(seen.lock().wait()[..], [Timing::Held(_)])); // it did not wait
    /// ```
    #[must_use]
    pub fn observe_times(self, observer: impl Fn(Timing) + Send + Sync + 'static) -> Self {
        self.observe_by(Box::new(|_| Box::new(observer)))
    }

    /// As [`observe_times`](Self::observe_times), with an observer that is made when the lock's name is known.
    pub(crate) fn observe_by(mut self, observer: MakeObserver) -> Self {
        self.observer = Some(observer);
        self.track_times(true)
    }

    /// Sets whether to store the place in the code that requested the latest grant of each key. Off by default.
    #[must_use]
    pub fn track_callers(mut self, track: bool) -> Self {
        self.options.track_callers = track;
        self
    }

    /// Sets the greatest fence that an earlier process gave out: the new ones are greater.
    ///
    /// # Panics
    ///
    /// If `latest` is greater than `i64::MAX`: later fences could overflow.
    #[must_use]
    pub fn fence_start(mut self, latest: u64) -> Self {
        assert!(i64::try_from(latest).is_ok(), "fences start at i64::MAX at most");
        self.options.fence_start = latest;
        self
    }

    /// Sets how keys are written in events and spans. By default they are left out, since keys can be personal data: see
    /// the guide on [logging](crate::docs::logging).
    ///
    /// For keys that may be logged as they are, it is `show_keys(fmt::Display::fmt)`.
    #[must_use]
    pub fn show_keys(mut self, show: fn(&K, &mut fmt::Formatter<'_>) -> fmt::Result) -> Self {
        self.options.show_key = Some(show);
        self
    }

    /// Sets the time after which a wait is reported while it lasts, by a warning (feature `tracing`). One second by
    /// default.
    ///
    /// A wait is reported once, even if its future is not polled, and its end is reported as well: see the guide on
    /// [logging](crate::docs::logging). A lock warns once in a second at most.
    #[must_use]
    pub fn long_wait(mut self, threshold: Duration) -> Self {
        self.options.long_wait = threshold;
        self
    }

    /// Creates the lock.
    #[must_use]
    pub fn build(self) -> KeyedLock<K, S> {
        KeyedLock::from_table(self.table(MAX_PERMITS))
    }

    /// Creates the semaphore, with this number of permits for each key.
    ///
    /// # Panics
    ///
    /// If there are more than [`Semaphore::MAX_PERMITS`](crate::Semaphore::MAX_PERMITS).
    ///
    /// # Examples
    ///
    /// ```
    /// let seats = latchwork::KeyedLock::<u32>::builder().shards(1).build_semaphore(3);
    /// assert_eq!(seats.available(7), 3);
    /// ```
    #[must_use]
    pub fn build_semaphore(self, permits: usize) -> KeyedSemaphore<K, S> {
        KeyedSemaphore::from_table(self.table(permits))
    }

    fn table(mut self, permits: usize) -> Table<K, S> {
        self.options.observer = self.observer.map(|make| make(self.options.name));
        Table::new(permits, self.hasher, self.options)
    }
}

impl<K, S> fmt::Debug for KeyedBuilder<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBuilder")
            .field("name", &self.options.name)
            .field("shards", &self.options.shards)
            .field("fence_start", &self.options.fence_start)
            .field("track_times", &self.options.track_times)
            .field("track_callers", &self.options.track_callers)
            .field("long_wait", &self.options.long_wait)
            .field("is_observed", &self.observer.is_some())
            .finish_non_exhaustive()
    }
}
