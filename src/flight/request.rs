//! What an [`Acquire`](crate::Acquire) of a role in a flight does.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use super::lead::{AsFlights, LeaderHold, Role};
use super::state::{Flight, Found};
use super::table::{Boarded, Table};
use crate::error::TimedOut;
use crate::key::{Form, IntoKey};
use crate::shards::spread;
use crate::wait::{Acquire, Acquisition, End, Node};

type Key<H> = <<H as Deref>::Target as AsFlights>::Key;
type Value<H> = <<H as Deref>::Target as AsFlights>::Value;

/// A call for a key.
pub struct Join<H: Deref<Target: AsFlights>, Q> {
    /// Gone when the call was answered.
    holder: Option<H>,
    /// Of the key, when it was looked for.
    hash: Option<u64>,
    wanted: Form<Key<H>, Q>,
    /// The flight that it is on. From then on its value is the answer, however late this call looks.
    flight: Option<Arc<Flight<Value<H>>>>,
}

impl<H, Q> Join<H, Q>
where
    H: Deref<Target: AsFlights<Key: Eq + Hash, Value: Clone, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    pub(super) fn acquire(holder: H, key: Q) -> Acquire<Self> {
        Acquire::new(Self { holder: Some(holder), hash: None, wanted: Form::new(key), flight: None })
    }

    /// Looks the key up: leads, or joins.
    fn board(&mut self) -> Option<Found<Value<H>>> {
        let holder = self.holder.as_deref().expect("an Acquire is not polled again after it was ready");
        let hash = *self.hash.get_or_insert_with(|| spread(self.wanted.hash(holder.hasher())));
        let (flight, found) = match holder.table().board(hash, &mut self.wanted) {
            Boarded::Led(flight) => (flight, Some(Found::Lead)),
            Boarded::Joined(flight) => (flight, None),
        };
        self.flight = Some(flight);
        found
    }

    /// Counts the lead of a call that joined.
    fn count(&self, found: &Found<Value<H>>) {
        if let (Found::Lead, Some(holder), Some(hash)) = (found, self.holder.as_deref(), self.hash) {
            holder.table().succeeded(hash);
        }
    }
}

impl<H, Q> Acquisition for Join<H, Q>
where
    H: Deref<Target: AsFlights<Key: Eq + Hash, Value: Clone, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    type Guard = Role<LeaderHold<H>, Value<H>>;
    type Timed = Result<Self::Guard, TimedOut>;
    type Grant = Found<Value<H>>;

    fn take(&mut self) -> Option<Found<Value<H>>> {
        let Some(flight) = &self.flight else { return self.board() };
        let found = flight.take()?;
        self.count(&found);
        Some(found)
    }

    fn step(&mut self, node: Pin<&mut Node>, task: &Waker) -> Option<Found<Value<H>>> {
        let flight = self.flight.as_ref().expect("a call takes a look before it enlists");
        let found = flight.step(node, task)?;
        self.count(&found);
        Some(found)
    }

    fn guard(&mut self, found: Found<Value<H>>) -> Role<LeaderHold<H>, Value<H>> {
        let (holder, flight) = (self.holder.take(), self.flight.take());
        match found {
            Found::Lead => {
                let (Some(holder), Some(hash), Some(flight)) = (holder, self.hash, flight) else {
                    unreachable!("it was granted through this request")
                };
                Role::Leader(LeaderHold::new(holder, hash, flight))
            }
            Found::Value(value) => {
                // The flight holds on to its value: whichever call looks last gets that instead of a clone.
                drop((holder, flight));
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
impl<H: Deref<Target: AsFlights>, Q> Drop for Join<H, Q> {
    fn drop(&mut self) {
        if let (Some(flight), Some(holder), Some(hash)) =
            (self.flight.take(), self.holder.as_deref(), self.hash)
        {
            part(holder.table(), hash, flight);
        }
    }
}

impl<H: Deref<Target: AsFlights>, Q> fmt::Debug for Join<H, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("joined", &self.flight.is_some()).finish_non_exhaustive()
    }
}

#[cold]
fn part<K, V>(table: &Table<K, V>, hash: u64, flight: Arc<Flight<V>>) {
    // Outside the lock: keys and values are user code.
    drop(table.part(hash, flight));
}
