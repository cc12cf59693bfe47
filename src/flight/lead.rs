//! The leader of a flight, and what a call for a key comes to.

use std::fmt;
use std::hash::RandomState;
use std::ops::Deref;
use std::sync::Arc;

use super::single::SingleFlight;
use super::table::{Flight, Outcome, Table};
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

/// What [`SingleFlight::join`] comes to.
///
/// # Examples
///
/// ```
/// use latchwork::{Role, SingleFlight};
///
/// let menus = SingleFlight::<u32, String>::new();
/// let menu = match menus.join(7).wait() {
///     Role::Leader(leader) => leader.finish("soup".to_owned()), // if it is dropped before, somebody else leads
///     Role::Joined(menu) => menu,
/// };
/// assert_eq!(menu, "soup");
/// ```
#[derive(Debug)]
#[must_use = "a leader that is dropped aborts its flight"]
pub enum Role<L, V> {
    /// Nobody was at it: this caller does the work, for all who join.
    Leader(L),
    /// Somebody else did the work: its result.
    Joined(V),
}

/// The lead of a flight: the work for its key is this caller's to do. `H` is how it holds on to its table.
///
/// While it lives, those who ask for the key join the flight. [`finish`](Self::finish) gives them the value.
/// Dropping it without (on `?`, on panic, when the future that holds it is dropped) aborts the flight: those
/// who joined look again, and the first of them to run leads a new one.
///
/// It may be held across an `.await` and sent to another thread. One that is forgotten (`mem::forget`)
/// keeps its flight under way for ever: those who join it wait until they give up.
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

    /// Ends the flight with a value, of which everybody who joined gets a clone, made where it asked. Who asks from
    /// here on begins a new flight.
    ///
    /// # Panics
    ///
    /// Only if the value, the key or a waker of one who joined does. The flight has ended with the value
    /// then, and all have been told.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Role, SingleFlight};
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
        let key = self.holder.table().remove(self.hash, &flight, Outcome::Landed);
        // Nobody can join any more. So if nobody has, there is nobody to tell.
        let flight = match Arc::try_unwrap(flight) {
            Ok(_) => {
                drop(key);
                return value;
            }
            Err(flight) => flight,
        };
        let value = Arc::new(value);
        end(&flight, Some(value.clone()), key);
        drop(flight);
        Arc::unwrap_or_clone(value)
    }
}

impl<H: Deref<Target: AsFlights>> Drop for LeaderHold<H> {
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            let key = self.holder.table().remove(self.hash, &flight, Outcome::Aborted);
            end(&flight, None, key);
        }
    }
}

/// Tells everybody on a flight that it is over, and drops its key. Called outside the lock: wakers and keys are
/// user code.
fn end<K, V>(flight: &Flight<V>, word: Option<Arc<V>>, key: K) {
    let mut wakes = Wakes::default();
    flight.end(word, &mut wakes);
    drop(key);
    wakes.finish();
}

impl<H: Deref<Target: AsFlights>> fmt::Debug for LeaderHold<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderHold").finish_non_exhaustive()
    }
}
