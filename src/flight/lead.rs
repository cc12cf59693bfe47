//! The leader of a flight, and what a call for a key comes to.

use std::fmt;
use std::hash::RandomState;
use std::ops::Deref;
use std::sync::Arc;

use super::single::SingleFlight;
use super::state::Flight;
use super::table::Table;
use crate::wait::Wakes;

/// Whatever has a [`Table`] of flights.
pub trait AsFlights {
    /// What its keys are.
    type Key;
    /// What a flight comes to.
    type Value;
    #[doc(hidden)]
    type Hasher;

    #[doc(hidden)]
    fn table(&self) -> &Table<Self::Key, Self::Value>;

    #[doc(hidden)]
    fn hasher(&self) -> &Self::Hasher;
}

type Value<H> = <<H as Deref>::Target as AsFlights>::Value;

/// What [`SingleFlight::join`] returns.
///
/// # Examples
///
/// ```
/// use latchwork::{SingleFlight, flight::Role};
///
/// let menus = SingleFlight::<u32, String>::new();
/// let menu = match menus.join(7).wait() {
///     Role::Leader(leader) => leader.finish("soup".to_owned()), // if it is dropped before, another call leads
///     Role::Joined(menu) => menu,
/// };
/// assert_eq!(menu, "soup");
/// ```
#[derive(Debug)]
#[must_use = "a leader that is dropped aborts its flight"]
pub enum Role<L, V> {
    /// This caller does the work, for all calls that join.
    Leader(L),
    /// The value that another caller made.
    Joined(V),
}

/// The lead of a flight: the work for its key is this caller's to do. `H` is how it keeps its table.
///
/// While it lives, calls for the key join the flight. [`finish`](Self::finish) gives them the value.
/// Dropping it without a value (on `?`, on panic, when the future that holds it is dropped) aborts the flight: one of
/// the calls that joined leads in its place, and the others stay joined.
///
/// It may be held across an `.await` and sent to another thread. A lead that is forgotten (`mem::forget`)
/// keeps its flight under way for ever: the calls that join it wait until they give up.
#[must_use = "a leader that is dropped aborts its flight"]
pub struct LeaderHold<H: Deref<Target: AsFlights>> {
    holder: H,
    hash: u64,
    /// Gone when it has ended.
    flight: Option<Arc<Flight<Value<H>>>>,
}

/// The lead of a flight of a borrowed [`SingleFlight`].
pub type Leader<'a, K, V, S = RandomState> = LeaderHold<&'a SingleFlight<K, V, S>>;

/// The lead of a flight that keeps its [`SingleFlight`] alive.
pub type OwnedLeader<K, V, S = RandomState> = LeaderHold<Arc<SingleFlight<K, V, S>>>;

impl<H: Deref<Target: AsFlights>> LeaderHold<H> {
    pub(super) fn new(holder: H, hash: u64, flight: Arc<Flight<Value<H>>>) -> Self {
        Self { holder, hash, flight: Some(flight) }
    }

    /// Ends the flight with a value, and returns it. Each call that joined returns a clone, which it makes itself. The
    /// next call for the key begins a new flight.
    ///
    /// # Panics
    ///
    /// Only if the value, the key or the waker of a call that joined panics. The flight has ended with the value
    /// then, and all calls that joined were woken.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{SingleFlight, flight::Role};
    ///
    /// let menus = SingleFlight::<u32, String>::new();
    /// std::thread::scope(|s| {
    ///     let Role::Leader(leader) = menus.join(7).wait() else { panic!("nobody else is at it") };
    ///     let other = s.spawn(|| menus.run_blocking(7, || "soup".to_owned()).value);
    ///     assert_eq!(leader.finish("soup".to_owned()), "soup");
    ///     assert_eq!(other.join().expect("it does not panic"), "soup");
    /// });
    /// ```
    pub fn finish(mut self, value: Value<H>) -> Value<H>
    where
        Value<H>: Clone,
    {
        let Some(flight) = self.flight.take() else { unreachable!("it ends once, here or in its drop") };
        let key = self.holder.table().land(self.hash, &flight);
        // Nobody can join any more. So if nobody has, there is nobody to wake.
        match Arc::try_unwrap(flight) {
            Ok(_) => {
                drop(key);
                value
            }
            Err(flight) => land(flight, key, value),
        }
    }
}

/// Gives the value to the calls that joined.
#[cold]
fn land<K, V: Clone>(flight: Arc<Flight<V>>, key: K, value: V) -> V {
    let (value, mut wakes) = (Arc::new(value), Wakes::default());
    flight.land(value.clone(), &mut wakes);
    // Outside the locks, and when everybody was woken: keys are user code.
    drop(key);
    wakes.finish();
    drop(flight);
    Arc::unwrap_or_clone(value)
}

impl<H: Deref<Target: AsFlights>> Drop for LeaderHold<H> {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            abort(self.holder.table(), self.hash, flight);
        }
    }
}

/// Leaves the lead to a call that joined.
#[cold]
fn abort<K, V>(table: &Table<K, V>, hash: u64, flight: Arc<Flight<V>>) {
    let mut wakes = Wakes::default();
    let entry = table.abort(hash, flight, &mut wakes);
    // Outside the locks: wakers and keys are user code.
    wakes.wake();
    drop(entry);
    wakes.finish();
}

impl<H: Deref<Target: AsFlights>> fmt::Debug for LeaderHold<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderHold").finish_non_exhaustive()
    }
}
