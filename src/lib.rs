//! Concurrency control for services.

mod error;
mod fence;
mod guard;
mod keyed;
mod mutex;
mod rwlock;
mod semaphore;
mod sync;
mod wait;

pub mod docs;

pub use error::{Busy, TimedOut};
pub use fence::{Fence, FenceGate, StaleFence};
pub use guard::{ExclusiveGuard, SharedGuard};
pub use keyed::{
    IntoKey, KeyView, KeyedBuilder, KeyedGuard, KeyedHold, KeyedLock, KeyedManyGuard, KeyedManyHold,
    KeyedPermit, KeyedSemaphore, KeyedStats, OwnedKeyedGuard, OwnedKeyedManyGuard, OwnedKeyedPermit, Times,
};
pub use mutex::{Mutex, MutexGuard, OwnedMutexGuard};
pub use rwlock::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{OwnedPermit, Permit, Permits, Semaphore};
pub use wait::{Acquire, Request};
