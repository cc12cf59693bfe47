//! Per-key locks: a table in which a key is present while somebody holds it or waits for it.
//!
//! ```text
//! builder    how a lock or semaphore is made
//! lock       the public locks; and semaphore
//! request    the pending acquisition of one key; bounded: if few wait; many: of several; drain: of none at all
//! guard      a held key; events, timing: what is reported of it; provider: as a lock provider
//! views      counters as a whole, and the keys in use
//! table      take, step, leave, release: the moves on an entry
//! shard      some entries under one small lock
//! entry      one key's word, line and fence, at a fixed address: the only raw pointers
//! options, counters: as they say
//! ```
//!
//! # An entry's life
//!
//! `shard.lock` guards everything about an entry but the key itself, which does not change while the
//! entry is in use. An entry is **in use** while permits are out, waiters are on its line or a view
//! pins it. All of that is visible in the word and the pins, so whoever changes them decides under the
//! same lock whether it was the last, and removes the entry on the spot. There is no moment in which
//! an entry exists that nobody uses, and none in which somebody uses an entry that is gone. Tables that
//! keep "the entry exists" and "the key is locked" apart have had either leak.
//!
//! # What runs where
//!
//! A key is hashed once, before the shard's lock. Under it only `Eq` (or
//! [`IntoKey::is_key`](crate::key::IntoKey::is_key)) of the keys with the same 32 bits of hash runs; if it panics, nothing has changed. An
//! owned key is made of a borrowed one outside, after which the shard is looked at afresh. Keys are
//! dropped, wakers are woken, events are emitted and observers are told outside.
//!
//! # Memory
//!
//! The first key of a shard lives beside its lock, so that a lock and an unlock of a free key touch one
//! place in memory. Others are boxed; a few free boxes are kept for the next keys, the rest is freed, and
//! the hash table shrinks after a burst.

mod bounded;
mod builder;
mod counters;
mod drain;
mod entry;
mod events;
mod guard;
mod lock;
mod many;
mod options;
mod provider;
mod request;
mod semaphore;
mod shard;
mod table;
mod timing;
mod views;

pub use self::builder::KeyedBuilder;
pub use self::counters::{KeyedStats, Times};
pub use self::guard::KeyedHold;
pub use self::lock::{KeyedGuard, KeyedLock, KeyedManyGuard, OwnedKeyedGuard, OwnedKeyedManyGuard};
pub use self::many::KeyedManyHold;
pub use self::provider::LocalWait;
pub use self::semaphore::{KeyedPermit, KeyedSemaphore, OwnedKeyedPermit};
pub use self::timing::Timing;
pub use self::views::KeyView;
