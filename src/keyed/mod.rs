//! Per-key locks.

mod builder;
mod drain;
mod entry;
mod events;
mod guard;
mod key;
mod lock;
mod many;
mod request;
mod semaphore;
mod shard;
mod stats;
mod table;

pub use self::builder::KeyedBuilder;
pub use self::guard::KeyedHold;
pub use self::key::IntoKey;
pub use self::lock::{KeyedGuard, KeyedLock, KeyedManyGuard, OwnedKeyedGuard, OwnedKeyedManyGuard};
pub use self::many::KeyedManyHold;
pub use self::semaphore::{KeyedPermit, KeyedSemaphore, OwnedKeyedPermit};
pub use self::stats::{KeyView, KeyedStats, Times};
