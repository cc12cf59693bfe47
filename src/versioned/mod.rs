//! Values with versions: a write says which version it started from, and is refused if that is no longer the current
//! one.

// cell      Versioned: one value
// map       VersionedMap: one value for each key; builder: its settings; edits: writes by closure
// news      waiting for a change; the end of a version
// views     a map as a whole
// shards    the entries of one shard, under a small read-write lock
// snapshot  a value and its stamp, which belong together
// expect    the version that a write expects; conflict: it found another one
// attempt   compute, compare, swap, again: the loop behind every closure
//
// # The idea
//
// A value is an `Arc` beside its stamp. Both are read and replaced together under a lock that is held for a few
// instructions. Nothing is computed under it. A closure gets a snapshot and runs as long as it likes. What it returns is
// stored if the stamp is still that of the snapshot. So readers never wait for a closure, closures may use the same cell
// or map, and one that panics has changed nothing.
//
// # Stamps
//
// Each write draws a stamp that was never used before: from the cell's own, or from the counter that all keys of a map
// share. So equal stamps mean the same value, also when a key was removed and stored again. A map draws under the lock of
// the key's shard. So a caller that reads the counter and then takes that lock finds every write that the counter stood
// for. `changed_since` rests on this.
//
// A cell also keeps its stamp in an atomic. It is stored with Release before the lock is released, and loaded with
// Acquire: a caller that sees a stamp sees everything that was done before that write. After a snapshot the atomic is
// never older. A snapshot that is taken after a look at the atomic is never older either; the lock alone gives that.
//
// # Why no change is missed
//
// All waiters for a change of one version enlist with one watch, which hangs on the value. The write that replaces the
// value takes the watch with it under the lock. Afterwards it ends the watch, once and for all: it marks the watch as over
// and notifies all waiters on it.
//
// 1. The write comes before the waiter's look at the value. The waiter finds another stamp and does not wait.
// 2. The write comes after the look, and ends the watch before the waiter enlists. A watch that is over takes no waiter;
//    the waiter looks again.
// 3. The write ends the watch after the waiter has enlisted. The waiter is notified. If the batch of wakers runs full, the
//    writer comes back for the rest before it returns, whatever a waker does. (If one panics, the writer panics
//    afterwards, but its value is stored.)
// 4. A waiter gives up. It takes itself off. If it was the last, it ends the watch under the value's lock and takes it
//    away. A waiter that is about to enlist looks again, by case 2.
// 5. A waiter is notified, and the stamp is the same again: only `seed` can do that. It waits on, with the new value's
//    watch.
//
// # What runs where
//
// Under a lock: `Eq` of keys whose hashes are equal, and `Clone` of keys where a map is asked for all of them. All other
// user code runs outside: closures, `Hash`, `Drop` of values and keys, wakers. The map has its own shards and is not built
// on a concurrent map from elsewhere, because the loom models could not look into that.

mod attempt;
mod builder;
mod cell;
mod conflict;
mod edits;
mod expect;
mod map;
mod news;
mod shards;
mod snapshot;
mod views;

pub use self::attempt::Change;
pub use self::builder::VersionedMapBuilder;
pub use self::cell::Versioned;
pub use self::conflict::{Conflict, Exhausted, WriteError};
pub use self::expect::Expect;
pub use self::map::{Upserted, VersionedMap};
pub use self::news::{Changed, ChangedKey};
pub use self::snapshot::Snapshot;
pub use self::views::Changes;
