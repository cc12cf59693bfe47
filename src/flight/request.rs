//! What an [`Acquire`](crate::Acquire) of a role in a flight does.

use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::sync::Arc;

use super::lead::{AsFlights, LeaderHold, Role};
use super::table::{Boarded, Flight};
use crate::key::{Form, IntoKey};
use crate::shards::spread;
use crate::wait::{Acquire, Look, Watch, Watched, Watching};

type Key<H> = <<H as Deref>::Target as AsFlights>::Key;
type Value<H> = <<H as Deref>::Target as AsFlights>::Value;

/// A call for a key.
pub(super) struct Join<H: Deref<Target: AsFlights>, Q> {
    /// Gone with the lead.
    holder: Option<H>,
    /// Of the key, when it was looked for.
    hash: Option<u64>,
    wanted: Form<Key<H>, Q>,
    /// Joined. From then on its value is the answer, however late this call looks, unless it is aborted.
    flight: Option<Arc<Flight<Value<H>>>>,
}

/// What was found. (The lead is a guard from the first moment: if something panics on the way, the flight
/// is aborted.)
pub(super) enum Found<H: Deref<Target: AsFlights>> {
    Led(LeaderHold<H>),
    Landed(Arc<Value<H>>),
}

impl<H, Q> Join<H, Q>
where
    H: Deref<Target: AsFlights<Key: Eq + Hash, Value: Clone, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    pub(super) fn acquire(holder: H, key: Q) -> Acquire<Watching<Self>> {
        Watching::acquire(Self { holder: Some(holder), hash: None, wanted: Form::new(key), flight: None })
    }

    fn find(&mut self) -> Look<Found<H>, Option<Arc<Value<H>>>> {
        if let Some(flight) = &self.flight {
            match flight.ended() {
                None => return Look::Wait(flight.clone()),
                Some(Some(value)) => return Look::Over(Found::Landed(value)),
                // Aborted. Nobody was handed the lead: whoever comes first takes it.
                Some(None) => self.flight = None,
            }
        }
        let holder = self.holder.as_deref().expect("an Acquire is not polled again after it was ready");
        let hash = *self.hash.get_or_insert_with(|| spread(self.wanted.hash(holder.hasher())));
        match holder.table().board(hash, &mut self.wanted) {
            Boarded::Joined(flight) => {
                self.flight = Some(flight.clone());
                Look::Wait(flight)
            }
            Boarded::Led(flight) => {
                let holder = self.holder.take().expect("it was there just now");
                Look::Over(Found::Led(LeaderHold::new(holder, hash, flight)))
            }
        }
    }
}

impl<H, Q> Watched for Join<H, Q>
where
    H: Deref<Target: AsFlights<Key: Eq + Hash, Value: Clone, Hasher: BuildHasher>>,
    Q: IntoKey<Key<H>>,
{
    type Word = Option<Arc<Value<H>>>;
    type Next = Found<H>;
    type Guard = Role<LeaderHold<H>, Value<H>>;

    fn next(&mut self) -> Option<Found<H>> {
        match self.find() {
            Look::Over(found) => Some(found),
            Look::Wait(_) | Look::NeedsWatch => None,
        }
    }

    fn look(&mut self, _: &mut Option<Arc<Watch<Self::Word>>>) -> Look<Found<H>, Self::Word> {
        self.find()
    }

    fn guard(self, found: Found<H>) -> Role<LeaderHold<H>, Value<H>> {
        // The flight holds on to its value: whoever is the last to look gets that instead of a clone.
        drop(self);
        match found {
            Found::Led(leader) => Role::Leader(leader),
            Found::Landed(value) => Role::Joined(Arc::unwrap_or_clone(value)),
        }
    }
}
