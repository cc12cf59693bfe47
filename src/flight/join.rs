//! [`Join`]: a pending call for a role in a flight.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use super::lead::Leader;
use super::role::Role;
use super::state::{Flight, Found};
use super::table::{Boarded, Table};
use crate::error::TimedOut;
use crate::key::{Form, IntoKey};
use crate::wait::{Acquire, Acquisition, End, Node};
/// A pending call for a key, with a `Q` for the key: [`SingleFlight::join`](super::SingleFlight::join) returns it.
pub type Join<K, V, Q = K> = Acquire<Joining<K, V, Q>>;

/// What a call asks for: to lead, or the value of the flight under way.
pub struct Joining<K, V, Q = K> {
    /// `None` once the call was answered.
    table: Option<Table<K, V>>,
    hash: u64,
    wanted: Form<K, Q>,
    /// The flight that the call is on. Its value is the answer, however late this call looks.
    flight: Option<Arc<Flight<V>>>,
}

impl<K: Eq + Hash, V: Clone, Q: IntoKey<K>> Joining<K, V, Q> {
    #[inline]
    pub(super) fn acquire(table: Table<K, V>, hasher: &impl BuildHasher, key: Q) -> Acquire<Self> {
        let wanted = Form::new(key);
        let hash = wanted.hash(hasher);
        Acquire::new(Self { table: Some(table), hash, wanted, flight: None })
    }

    /// Looks the key up: leads, or joins.
    fn board(&mut self) -> Option<Found<V>> {
        let table = self.table.as_ref().expect("an Acquire is not polled again after it was ready");
        let (flight, found) = match table.board(self.hash, &mut self.wanted) {
            Boarded::Led(flight) => (flight, Some(Found::Lead)),
            Boarded::Joined(flight) => (flight, None),
        };
        self.flight = Some(flight);
        found
    }

    /// Counts the lead of a call that joined.
    fn count(&self, found: &Found<V>) {
        if let (Found::Lead, Some(table)) = (found, &self.table) {
            table.succeeded(self.hash);
        }
    }
}

impl<K: Eq + Hash, V: Clone, Q: IntoKey<K>> Acquisition for Joining<K, V, Q> {
    type Guard = Role<K, V>;
    type Timed = Result<Self::Guard, TimedOut>;
    type Grant = Found<V>;

    fn take(&mut self) -> Option<Found<V>> {
        let Some(flight) = &self.flight else { return self.board() };
        let found = flight.take()?;
        self.count(&found);
        Some(found)
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<Found<V>> {
        let flight = self.flight.as_ref().expect("a call takes a look before it enlists");
        let found = flight.step(node, task)?;
        self.count(&found);
        Some(found)
    }

    fn guard(&mut self, found: Found<V>) -> Role<K, V> {
        let (table, flight) = (self.table.take(), self.flight.take());
        match found {
            Found::Lead => {
                let (Some(table), Some(flight)) = (table, flight) else {
                    unreachable!("it was granted through this request")
                };
                Role::Leader(Leader::new(table, self.hash, flight))
            }
            Found::Value(value) => {
                // The flight keeps its value, too. Without it, the last call to look gets the value itself, not a clone.
                drop((table, flight));
                Role::Joined(Arc::unwrap_or_clone(value))
            }
        }
    }

    fn in_time(role: Option<Self::Guard>) -> Self::Timed {
        role.ok_or(TimedOut::NEW)
    }

    fn leave(&mut self, node: Pin<&mut Node>, _: End) {
        if let Some(flight) = &self.flight {
            flight.leave(node);
        }
    }
}

/// A call that joined and goes without an answer.
impl<K, V, Q> Drop for Joining<K, V, Q> {
    #[inline]
    fn drop(&mut self) {
        if self.flight.is_some() {
            self.part();
        }
    }
}

impl<K, V, Q> Joining<K, V, Q> {
    /// Apart, so that a call that was answered pays nothing for it.
    #[cold]
    fn part(&mut self) {
        if let (Some(flight), Some(table)) = (self.flight.take(), &self.table) {
            // Outside the lock: keys and values are user code.
            drop(table.part(self.hash, flight));
        }
    }
}

impl<K, V, Q> fmt::Debug for Joining<K, V, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("has_joined", &self.flight.is_some()).finish_non_exhaustive()
    }
}
