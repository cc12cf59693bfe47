//! [`SingleFlight`]: one call for all who ask for the same at the same time.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use super::lead::{AsFlights, Role};
use super::request::Join;
use super::table::{FlightStats, Table};
use crate::key::IntoKey;
use crate::wait::Acquire;

/// Runs the work for a key once for all who ask for it at the same time, and gives each of them a clone of the
/// result.
///
/// The first call leads: it does the work. Calls that come meanwhile join. When the work is done the flight is
/// over, and the next call begins a new one: nothing is cached. A leader that is cancelled, panics or fails takes
/// nobody with it: one of the calls that joined leads in its place, and the others stay joined.
///
/// Keys are divided among small locks, as in a [`KeyedLock`](crate::KeyedLock), and a key costs nothing while
/// nobody is at it. To be shared among threads, `V` must be `Send` and `Sync`: all who joined clone the same value. Put
/// what is costly to clone into an `Arc`.
///
/// # Fairness
///
/// A value wakes all calls that joined. When a leader goes without one, the lead is a lock that falls free: the calls
/// that joined wait for it in line, and a newcomer may take it first as often as it may pass waiters at a lock.
///
/// # Deadlock
///
/// Work that asks for its own key joins itself and waits for ever; so do two works that ask for each other's.
///
/// # Examples
///
/// ```
/// use latchwork::SingleFlight;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let menus: SingleFlight<String, u32> = SingleFlight::new();
/// let load = async || { tokio::task::yield_now().await; 42 };
/// let (one, two) = tokio::join!(menus.run("monday", load), menus.run("monday", load));
/// assert_eq!((one.value, two.value), (42, 42));
/// assert!(one.led && !two.led);
/// assert!(menus.is_empty());
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct SingleFlight<K, V, S = RandomState> {
    table: Table<K, V>,
    hasher: S,
}

/// What [`SingleFlight::run`] comes to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Flown<V> {
    /// The result of the work.
    pub value: V,
    /// Whether this caller did the work; otherwise somebody else did.
    pub led: bool,
}

impl<K: Eq + Hash, V> SingleFlight<K, V> {
    /// Creates an empty `SingleFlight`.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(latchwork::SingleFlight::<u32, u32>::new().is_empty());
    /// ```
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

impl<K, V, S> SingleFlight<K, V, S> {
    /// Creates an empty `SingleFlight` with a hasher of your own. The default one, `std`'s, withstands keys that are chosen to
    /// collide.
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
        Self { table: Table::new(), hasher }
    }

    /// Returns the number of keys that have a flight: a call leads, or waits for the lead of one that was aborted.
    /// Shards are counted one after the other.
    ///
    /// # Examples
    ///
    /// ```
    /// let flights = latchwork::SingleFlight::<u32, u32>::new();
    /// let _leader = flights.join(7).wait();
    /// assert_eq!(flights.len(), 1);
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns `true` if no flight is under way.
    ///
    /// # Examples
    ///
    /// ```
    /// let flights = latchwork::SingleFlight::<u32, u32>::new();
    /// drop(flights.join(7).wait());
    /// assert!(flights.is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what was counted so far.
    ///
    /// # Examples
    ///
    /// ```
    /// let flights = latchwork::SingleFlight::<u32, u32>::new();
    /// drop(flights.join(7).wait());
    /// assert_eq!((flights.stats().flights, flights.stats().aborted), (1, 1));
    /// ```
    #[must_use]
    pub fn stats(&self) -> FlightStats {
        self.table.stats()
    }
}

impl<K: Eq + Hash, V: Clone, S: BuildHasher> SingleFlight<K, V, S> {
    /// Joins the flight of `key`, or leads one if there is none: `.await` it in a task, `.wait()` for it on a
    /// thread. Returns the leader's value, or makes this caller the leader: at once, or when the lead falls to it
    /// because the leader went without a value.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`]. A call that is kept but never polled again holds nothing: the lead passes it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use latchwork::{SingleFlight, flight::Role};
    ///
    /// let flights = SingleFlight::<String, u32>::new();
    /// let Role::Leader(leader) = flights.join("ada").wait() else { panic!("nobody is at it") };
    /// assert!(flights.join("ada").wait_timeout(Duration::from_micros(50)).is_err());
    /// drop(leader); // the work could not be done
    /// assert!(matches!(flights.join("ada").wait(), Role::Leader(_)));
    /// ```
    pub fn join<Q: IntoKey<K>>(&self, key: Q) -> Acquire<Join<&Self, Q>> {
        Join::acquire(self, key)
    }

    /// As [`join`](Self::join), with a lead that keeps the table alive: for work in a spawned task, which goes on when
    /// the caller is cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use latchwork::{SingleFlight, flight::Role};
    ///
    /// let flights: Arc<SingleFlight<String, u32>> = Arc::default();
    /// if let Role::Leader(leader) = flights.join_owned("ada").wait() {
    ///     std::thread::spawn(move || leader.finish(42)).join().unwrap();
    /// }
    /// assert!(flights.is_empty());
    /// ```
    pub fn join_owned<Q: IntoKey<K>>(self: &Arc<Self>, key: Q) -> Acquire<Join<Arc<Self>, Q>> {
        Join::acquire(self.clone(), key)
    }

    /// Runs `work`, unless another call does so for the same key already: then waits for that result. Returns the
    /// value, and whether this caller did the work.
    ///
    /// # Cancel safety
    ///
    /// If this caller leads, dropping the future drops the work, and then one of the calls that joined does it anew. The
    /// same happens if `work` panics.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let lengths = latchwork::SingleFlight::<String, usize>::new();
    /// let ada = lengths.run("ada", async || "ada".len()).await;
    /// assert_eq!((ada.value, ada.led), (3, true));
    /// # });
    /// # Ok::<(), std::io::Error>(())
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
                Flown { value: leader.finish(value), led: true }
            }
            Role::Joined(value) => Flown { value, led: false },
        }
    }

    /// Runs `work` as [`run`](Self::run) does, for work that may fail. An error is not shared: it goes to the caller that
    /// did the work, and one of the calls that joined runs its own. So while the work fails, the callers try one after
    /// the other.
    ///
    /// # Errors
    ///
    /// That of `work`, if this caller led.
    ///
    /// # Cancel safety
    ///
    /// As that of [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let numbers = latchwork::SingleFlight::<String, u32>::new();
    /// assert!(numbers.try_run("seven", async || "seven".parse()).await.is_err());
    /// assert_eq!(numbers.try_run("7", async || "7".parse()).await?.value, 7);
    /// # Ok::<(), std::num::ParseIntError>(())
    /// # }).expect("it is a number");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn try_run<Q, F, E>(&self, key: Q, work: impl FnOnce() -> F) -> Result<Flown<V>, E>
    where
        Q: IntoKey<K>,
        F: Future<Output = Result<V, E>>,
    {
        match self.join(key).await {
            Role::Leader(leader) => {
                let value = work().await?;
                Ok(Flown { value: leader.finish(value), led: true })
            }
            Role::Joined(value) => Ok(Flown { value, led: false }),
        }
    }

    /// Runs `work` as [`run`](Self::run) does, on a thread. Tasks and threads join each other's flights.
    ///
    /// # Panics
    ///
    /// If `work` does, or as [`Acquire::wait`].
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
            Role::Leader(leader) => Flown { value: leader.finish(work()), led: true },
            Role::Joined(value) => Flown { value, led: false },
        }
    }

    /// Runs `work` as [`try_run`](Self::try_run) does, on a thread.
    ///
    /// # Errors
    ///
    /// That of `work`, if this caller led.
    ///
    /// # Panics
    ///
    /// As [`run_blocking`](Self::run_blocking).
    ///
    /// # Examples
    ///
    /// ```
    /// let numbers = latchwork::SingleFlight::<String, u32>::new();
    /// assert!(numbers.try_run_blocking("seven", || "seven".parse()).is_err());
    /// assert_eq!(numbers.try_run_blocking("7", || "7".parse())?.value, 7);
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    #[track_caller]
    pub fn try_run_blocking<Q, E>(&self, key: Q, work: impl FnOnce() -> Result<V, E>) -> Result<Flown<V>, E>
    where
        Q: IntoKey<K>,
    {
        match self.join(key).wait() {
            Role::Leader(leader) => Ok(Flown { value: leader.finish(work()?), led: true }),
            Role::Joined(value) => Ok(Flown { value, led: false }),
        }
    }
}

impl<K, V, S> AsFlights for SingleFlight<K, V, S> {
    type Key = K;
    type Value = V;
    type Hasher = S;

    fn table(&self) -> &Table<K, V> {
        &self.table
    }

    fn hasher(&self) -> &S {
        &self.hasher
    }
}

impl<K, V, S> fmt::Debug for SingleFlight<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").field("under_way", &self.len()).finish_non_exhaustive()
    }
}
