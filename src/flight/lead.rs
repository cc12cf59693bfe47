//! [`Leader`]: the guard of the call that does the work.

use std::fmt;
use std::sync::Arc;

use super::state::Flight;
use super::table::Table;
use crate::wait::Wakes;

/// The lead of a flight: this caller does the work for its key. It keeps its
/// [`SingleFlight`](super::SingleFlight) alive.
///
/// While it lives, calls for the key join the flight. [`finish`](Self::finish) gives them the value. Dropping it without
/// a value (on `?`, on panic, when the future that holds it is dropped) aborts the flight. Then one of the calls that
/// joined leads instead, and the others stay joined.
///
/// It may be held across an `.await` and sent to another thread. A lead that is forgotten (`mem::forget`)
/// keeps its flight under way for ever: the calls that join it wait until they give up.
///
/// # Examples
///
/// ```
/// use latchwork::{SingleFlight, flight::Role};
///
/// let menus = SingleFlight::<u32, String>::new();
/// std::thread::scope(|s| {
///     let Role::Leader(leader) = menus.join(7).wait() else { panic!("no other call is there") };
///     let other = s.spawn(|| menus.run_blocking(7, || "soup".to_owned()).value);
///     assert_eq!(leader.finish("soup".to_owned()), "soup");
///     assert_eq!(other.join().expect("it does not panic"), "soup");
/// });
/// ```
#[must_use = "a leader that is dropped aborts its flight"]
pub struct Leader<K, V> {
    table: Table<K, V>,
    hash: u64,
    /// `None` once it has ended.
    flight: Option<Arc<Flight<V>>>,
}

impl<K, V> Leader<K, V> {
    #[inline]
    pub(super) fn new(table: Table<K, V>, hash: u64, flight: Arc<Flight<V>>) -> Self {
        Self { table, hash, flight: Some(flight) }
    }

    /// Ends the flight with a value, and returns it. Each call that joined returns a clone, which it makes itself. The
    /// next call for the key begins a new flight.
    ///
    /// # Panics
    ///
    /// Only if the value, the key or the waker of a call that joined panics. By then the flight has ended with the
    /// value, and all calls that joined were woken.
    pub fn finish(mut self, value: V) -> V
    where
        V: Clone,
    {
        let Some(flight) = self.flight.take() else { unreachable!("it ends once, here or in its drop") };
        let key = self.table.land(self.hash, &flight);
        // No call can join any more. So if none has, there is none to wake.
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
    // Outside the locks, and when all calls were woken: keys are user code.
    drop(key);
    wakes.finish();
    drop(flight);
    Arc::unwrap_or_clone(value)
}

impl<K, V> Drop for Leader<K, V> {
    #[inline]
    fn drop(&mut self) {
        if let Some(flight) = self.flight.take() {
            abort(&self.table, self.hash, flight);
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

impl<K, V> fmt::Debug for Leader<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leader").finish_non_exhaustive()
    }
}
