//! [`SingleFlight`]: one call for all callers that ask for the same thing at the same time.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::counts::FlightCounts;
use super::join::{Join, Joining};
use super::role::{Flown, Role};
use super::table::Table;
use crate::key::IntoKey;

/// Runs the work for a key once for all callers that ask for it at the same time. Each of them gets a clone of the result.
///
/// It is a handle: clones share one table of flights, and so does each [`Leader`](super::Leader).
///
/// The first call leads: it does the work. Calls that come meanwhile join. When the work is done the flight is over, and
/// the next call begins a new one: nothing is cached. If a leader is cancelled, panics or fails, the calls that joined are
/// not lost: one of them leads instead, and the others stay joined.
///
/// Keys are divided among small locks, as in a [`KeyedLock`](crate::KeyedLock). A key costs nothing while no call is at
/// work on it. To be shared among threads, `V` must be `Send` and `Sync`: all calls that joined clone the same value. Put
/// a value that is expensive to clone into an `Arc`.
///
/// # What it does not promise
///
/// - **No caching.** The value is dropped when every call that joined has received it. Later calls start a new flight.
/// - **A value may be older than the question.** A call that joins gets the result of work that began before it asked. A
///   caller that must see its own write has to do the work itself.
/// - **A leader that hangs blocks all calls that joined.** Limit the work, or the wait:
///   [`Acquire::timeout`](crate::Acquire::timeout). The same holds for a lead that was forgotten.
/// - **Failures take turns.** When the work always fails, the last of n calls waits for n runs.
///
/// # Fairness
///
/// A value wakes all calls that joined. When a leader goes without a value, the lead becomes free like a lock: the calls
/// that joined wait for it in line. A newcomer may take it first, as often as it may pass waiters at a lock.
///
/// # Deadlock
///
/// Work that asks for its own key joins itself and waits for ever. The same happens to two works that ask for each
/// other's keys.
///
/// # Examples
///
/// ```
/// use latchwork::SingleFlight;
///
/// # latchwork::__example!(async {
/// let menus: SingleFlight<String, u32> = SingleFlight::new();
/// let load = async || { tokio::task::yield_now().await; 42 };
/// let (one, two) = tokio::join!(menus.run("monday", load), menus.run("monday", load));
/// assert_eq!((one.value, two.value), (42, 42));
/// assert!(one.led && !two.led);
/// assert!(menus.is_empty());
/// # });
/// ```
pub struct SingleFlight<K, V, S = RandomState> {
    table: Table<K, V>,
    hasher: S,
    name: Option<&'static str>,
}

impl<K: Eq + Hash, V> SingleFlight<K, V> {
    /// Creates an empty `SingleFlight`.
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(RandomState::new())
    }
}

impl<K: Eq + Hash, V> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

// A panic of the work, a key or a waker leaves the table consistent: a lead that unwinds goes to another call.
impl<K: RefUnwindSafe, V: RefUnwindSafe, S: UnwindSafe> UnwindSafe for SingleFlight<K, V, S> {}
impl<K: RefUnwindSafe, V: RefUnwindSafe, S: RefUnwindSafe> RefUnwindSafe for SingleFlight<K, V, S> {}

impl<K, V, S: Clone> Clone for SingleFlight<K, V, S> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone(), hasher: self.hasher.clone(), name: self.name }
    }
}

impl<K, V, S> SingleFlight<K, V, S> {
    /// Creates an empty `SingleFlight` with a hasher of your own. The default one, `std`'s, withstands keys that are
    /// chosen to collide.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// use latchwork::SingleFlight;
    ///
    /// let rows: SingleFlight<u64, u64, BuildHasherDefault<DefaultHasher>> = SingleFlight::with_hasher(Default::default());
    /// assert_eq!(rows.run_blocking(7, || 49).value, 49);
    /// ```
    #[must_use]
    pub fn with_hasher(hasher: S) -> Self {
        Self { table: Table::new(), hasher, name: None }
    }

    /// Sets the name of this handle and its later clones, for metrics. None by default.
    ///
    /// # Examples
    ///
    /// ```
    /// let menus = latchwork::SingleFlight::<String, u32>::new().named("menus");
    /// assert_eq!(menus.name(), Some("menus"));
    /// ```
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Returns the name, if there is one.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        self.name
    }

    /// Returns the number of keys that have a flight: a call leads, or waits for the lead of one that was aborted.
    /// Shards are counted one after the other.
    ///
    /// # Examples
    ///
    /// ```
    /// let flights = latchwork::SingleFlight::<u32, u32>::new();
    /// let leader = flights.join(7).wait();
    /// assert_eq!(flights.len(), 1);
    /// drop(leader);
    /// assert!(flights.is_empty());
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns `true` if no flight is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what was counted so far.
    #[must_use]
    pub fn counts(&self) -> FlightCounts {
        self.table.counts()
    }
}

impl<K: Eq + Hash, V: Clone, S: BuildHasher> SingleFlight<K, V, S> {
    /// Joins the flight of `key`, or leads one if there is none. Resolves to the leader's value, or makes this caller the
    /// leader: at once, or when a leader went without a value.
    ///
    /// The key is hashed by this call; all else happens in the [`Acquire`](crate::Acquire). The lead may be sent to a spawned task, whose
    /// work goes on when the caller is cancelled.
    ///
    /// # Cancel safety
    ///
    /// That of [`Acquire`](crate::Acquire). A call that is kept but never polled again holds nothing: the lead passes it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use latchwork::{SingleFlight, flight::Role};
    ///
    /// let flights = SingleFlight::<String, u32>::new();
    /// let Role::Leader(leader) = flights.join("ada").wait() else { panic!("no other call is there") };
    /// assert!(flights.join("ada").wait_timeout(Duration::from_micros(50)).is_err());
    /// drop(leader); // the work failed
    /// assert!(matches!(flights.join("ada").wait(), Role::Leader(_)));
    /// ```
    #[inline]
    pub fn join<Q: IntoKey<K>>(&self, key: Q) -> Join<K, V, Q> {
        Joining::acquire(self.table.clone(), &self.hasher, key)
    }

    /// Runs `work`, unless another call does so for the same key already: then waits for that result. Returns the
    /// value, and whether this caller did the work.
    ///
    /// # Cancel safety
    ///
    /// If this caller leads, dropping the future drops the work. Then one of the calls that joined does it anew. The same
    /// happens if `work` panics.
    ///
    /// # Examples
    ///
    /// ```
    /// # latchwork::__example!(async {
    /// let lengths = latchwork::SingleFlight::<String, usize>::new();
    /// let ada = lengths.run("ada", async || "ada".len()).await;
    /// assert_eq!((ada.value, ada.led), (3, true));
    /// # });
    /// ```
    pub async fn run<Q, F>(&self, key: Q, work: impl FnOnce() -> F) -> Flown<V>
    where
        Q: IntoKey<K>,
        F: Future<Output = V>,
    {
        match self.join(key).await {
            Role::Leader(leader) => {
                // Declared after the lead: when this is dropped, the work is gone before another begins.
                let value = work().await;
                Flown::led(leader.finish(value))
            }
            Role::Joined(value) => Flown::joined(value),
        }
    }

    /// Runs `work` as [`run`](Self::run) does, for work that may fail. An error is not shared: only the caller that did
    /// the work gets it, and one of the calls that joined runs its own work. So while the work fails, the callers try one
    /// after the other.
    ///
    /// # Errors
    ///
    /// The error of `work`, if this caller led.
    ///
    /// # Cancel safety
    ///
    /// That of [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// # latchwork::__example!(async {
    /// let numbers = latchwork::SingleFlight::<String, u32>::new();
    /// assert!(numbers.try_run("seven", async || "seven".parse()).await.is_err());
    /// assert_eq!(numbers.try_run("7", async || "7".parse()).await?.value, 7);
    /// # });
    /// ```
    pub async fn try_run<Q, F, E>(&self, key: Q, work: impl FnOnce() -> F) -> Result<Flown<V>, E>
    where
        Q: IntoKey<K>,
        F: Future<Output = Result<V, E>>,
    {
        match self.join(key).await {
            Role::Leader(leader) => {
                let value = work().await?;
                Ok(Flown::led(leader.finish(value)))
            }
            Role::Joined(value) => Ok(Flown::joined(value)),
        }
    }

    /// Runs `work` as [`run`](Self::run) does, on a thread. Tasks and threads join each other's flights.
    ///
    /// # Panics
    ///
    /// If `work` panics, and where [`Acquire::wait`](crate::Acquire::wait) does.
    ///
    /// # Examples
    ///
    /// ```
    /// let lengths = latchwork::SingleFlight::<String, usize>::new();
    /// assert_eq!(lengths.run_blocking("ada", || "ada".len()).value, 3);
    /// ```
    #[track_caller]
    pub fn run_blocking<Q: IntoKey<K>>(&self, key: Q, work: impl FnOnce() -> V) -> Flown<V> {
        match self.join(key).wait() {
            Role::Leader(leader) => Flown::led(leader.finish(work())),
            Role::Joined(value) => Flown::joined(value),
        }
    }

    /// Runs `work` as [`try_run`](Self::try_run) does, on a thread.
    ///
    /// # Errors
    ///
    /// The error of `work`, if this caller led.
    ///
    /// # Panics
    ///
    /// Where [`run_blocking`](Self::run_blocking) does.
    #[track_caller]
    pub fn try_run_blocking<Q, E>(&self, key: Q, work: impl FnOnce() -> Result<V, E>) -> Result<Flown<V>, E>
    where
        Q: IntoKey<K>,
    {
        match self.join(key).wait() {
            Role::Leader(leader) => Ok(Flown::led(leader.finish(work()?))),
            Role::Joined(value) => Ok(Flown::joined(value)),
        }
    }
}

impl<K, V, S> fmt::Debug for SingleFlight<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").field("under_way", &self.len()).finish_non_exhaustive()
    }
}
