//! Values with versions: a write says which version it was made from, and is refused if that is no longer
//! the one that there is.
//!
//! ```text
//! cell      Versioned: one value
//! map       VersionedMap: one for each key; builder: how it is made; news: waiting for a key to change;
//! views     what is seen of a map as a whole
//! shards    the entries, under small read-write locks
//! snapshot  a value and its stamp, which belong together
//! expect    what a write wants to find; conflict: that it did not
//! attempt   compute, compare, swap, again: the loop behind every closure
//! ```
//!
//! # The idea
//!
//! A value is an `Arc` beside its stamp, and both are read and replaced together under a lock that is
//! held for a few instructions. Nobody computes under it. A closure gets a snapshot, runs as long as
//! it likes, and what it returns is stored if the stamp is still that of the snapshot. So readers never wait
//! for a closure, closures may use the same cell or map, and one that panics has changed nothing.
//!
//! # Stamps
//!
//! Each write draws a stamp that was never used before: from the cell's own, or from the counter that all
//! keys of a map share. So equal stamps mean the same value, also when a key was removed and came back. A map
//! draws under the lock of the key's shard. So whoever read the counter and then takes that lock finds
//! every write that the counter stood for, which is what `changed_since` rests on.
//!
//! A cell also keeps its stamp in an atomic, stored with Release before its lock is released, loaded with
//! Acquire: who sees a stamp sees everything that was done before that write. After a snapshot the
//! atomic is never older, and a snapshot that is taken after a look at the atomic is never older either;
//! the lock alone gives that.
//!
//! # Why no change is missed
//!
//! Those who wait for a change of one version enlist with one watch, which hangs on the
//! value. The write that replaces the value takes the watch with it under the lock, and ends it
//! afterwards, once and for all: it marks it as over and tells everybody on it.
//!
//! 1. *The write comes before the waiter's look at the value.* The waiter finds another stamp and does not
//!    wait.
//! 2. *It comes after the look, and ends the watch before the waiter enlists.* Nobody enlists with a watch
//!    that is over; the waiter looks again.
//! 3. *It ends the watch after the waiter has enlisted.* The waiter is told. If the batch of wakers runs full,
//!    the writer comes back for the rest before it returns, whatever a waker does. (If one panics, so does
//!    the writer, afterwards: what it wrote is written.)
//! 4. *A waiter gives up.* It takes itself off. If it was the last, it ends the watch under the value's lock
//!    and takes it away; whoever was about to enlist looks again, by case 2.
//! 5. *A waiter is told, and the stamp is the same again*: only `seed` can do that. It waits on, with the
//!    new value's watch.
//!
//! # What runs where
//!
//! Under a lock: `Eq` of keys whose hashes meet, and `Clone` of keys where a map is asked for all of them.
//! Everything else of the user's runs outside: closures, `Hash`, `Drop` of values and keys, wakers.
//! The map has its own shards of a `hashbrown` table and is not built on a concurrent map from elsewhere,
//! because the models in `tests/loom` would not see into that.

mod attempt;
mod builder;
mod cell;
mod conflict;
mod expect;
mod map;
mod news;
mod shards;
mod snapshot;
mod views;

use std::sync::Arc;

pub use self::attempt::Change;
pub use self::builder::VersionedMapBuilder;
pub use self::cell::Versioned;
pub use self::conflict::{Conflict, WriteError};
pub use self::expect::Expect;
pub use self::map::{Upserted, VersionedMap};
pub use self::snapshot::Snapshot;
pub use self::views::Changes;
use crate::wait::{Wakes, Watch};

/// Ends the version of what was replaced or removed, and drops it. Called outside the lock: wakers and the
/// drop of values and keys are user code.
fn finish<T>(old: T, watch: Option<Arc<Watch>>) {
    let mut wakes = Wakes::default();
    if let Some(watch) = watch {
        watch.end(&mut wakes);
    }
    drop(old);
    wakes.finish();
}
