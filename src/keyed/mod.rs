//! Per-key locks: a table in which a key is present while it is held or waited for.
//!
//! ```text
//! builder    the settings of a lock or semaphore
//! lock       the public lock; lock_many: of several keys; semaphore: the public semaphore
//! request    the pending acquisition of one key; many: of several; drain: of an empty table
//! guard      a held key
//! events     what is logged; long_wait: a wait, to be reported while it lasts; timing: what observers receive
//! provider   the lock as a lock provider
//! views      the sum of the counters, and the keys in use
//! sought     a key as a request asks for it, and what the request asks
//! table      the shards; take, release: the moves on an entry
//! shard      some entries under one small lock
//! entry      one key's word, line and fence, at a fixed address: the only raw pointers
//! options, counters: as their names say
//! ```
//!
//! # From the call to the guard
//!
//! - `OneKey` is what an `Acquire` of one key acquires: the handle to the table, and the next two.
//! - `Sought` is the key as it was passed, with its hash. `Terms` are the permits and the times of the request.
//! - `Entry` is the key in the table. An `EntryPtr` to it is all that a waiter, a guard or a view needs.
//! - `Grant` is the proof of an attempt that succeeded: the pointer, and the fence.
//! - `KeyedHold` is the guard: the grant, with the handle through which it is given back.
//!
//! # An entry's life
//!
//! `shard.lock` guards everything about an entry, except for its key and hash. These do not change while the entry is in
//! use. An entry is **in use** while permits are out, waiters are on its line or a view pins it. All of that is visible in
//! the word and the pins. So a change of them decides under the same lock whether it was the last, and removes the
//! entry at once. There is no moment in which an unused entry exists, and none in which an entry is used after its
//! removal. Tables that keep "the entry exists" and "the key is locked" apart have had one leak or the other.
//!
//! # What runs where
//!
//! A key is hashed once, when the request is created. Under the shard's lock only `Eq` (or
//! [`IntoKey::is_key`](crate::key::IntoKey::is_key)) of the keys with the same 32 bits of hash runs. If it panics, nothing
//! has changed. A borrowed key becomes an owned one outside the lock, and then the shard is searched again. Keys are
//! dropped, wakers are woken, events are emitted and observers are called outside the lock, too.
//!
//! # Memory
//!
//! The first key of a shard is kept beside the lock. So locking and unlocking a free key touches one place in memory.
//! Other keys are boxed. A few free boxes are kept for the next keys, the rest is freed, and the hash table shrinks
//! after a burst.

mod builder;
mod counters;
mod drain;
mod entry;
mod events;
mod guard;
mod lock;
mod lock_many;
mod long_wait;
mod many;
mod options;
mod provider;
mod release;
mod request;
mod semaphore;
mod shard;
mod sought;
mod table;
mod take;
mod timing;
mod views;

pub use self::builder::KeyedBuilder;
pub use self::counters::{KeyedCounts, Times};
pub use self::drain::Drained;
pub use self::guard::KeyedHold;
pub use self::lock::{KeyedGuard, KeyedLock, Lock, LockOwned, OwnedKeyedGuard};
pub use self::lock_many::{KeyedManyGuard, LockMany, LockManyOwned, OwnedKeyedManyGuard};
pub use self::many::KeyedManyHold;
pub use self::provider::LocalWait;
pub use self::semaphore::{
    AcquirePermits, AcquirePermitsOwned, KeyedPermit, KeyedSemaphore, OwnedKeyedPermit,
};
pub use self::timing::Timing;
pub use self::views::KeyView;
