//! One trait for locks by key, whether they are local or in another process: a *lock provider*.
//!
//! Code that needs a lock by key, such as a layer in front of a handler, is generic over [`LockProvider`]. An
//! [`Arc<KeyedLock>`](crate::KeyedLock) is one, and so is a `&'static KeyedLock`. A lock in a database can be another.
//! [`AnyLocks`] chooses between them at run time.
//!
//! ```
//! use std::sync::Arc;
//! use latchwork::KeyedLock;
//! use latchwork::provider::{AnyLocks, Ask, HeldLock, LockError, LockProvider};
//!
//! async fn rename<L: LockProvider<String>>(locks: &L, user: &str) -> Result<u64, LockError> {
//!     let held = locks.begin(user.to_owned(), Ask::wait().max_waiters(2)).await?;
//!     Ok(held.fence().get())
//! }
//!
//! # latchwork::__example!(async {
//! let local = Arc::new(KeyedLock::<String>::new());
//! assert!(rename(&local, "ada").await.is_ok());
//! assert!(rename(&AnyLocks::new(local), "ada").await.is_ok());
//! # });
//! ```

//
// locks   the traits: a provider, and a key that is held
// ask     how to request a key; begun: the first answer, and waiting for the rest
// error   why a key could not be locked
// any     a provider that is chosen at run time

mod any;
mod ask;
mod begun;
mod error;
mod locks;

pub use self::any::{AnyGuard, AnyLocks, AnyWait};
pub use self::ask::Ask;
pub use self::begun::{Begun, BegunFuture};
pub use self::error::LockError;
#[cfg(any(feature = "tracing", feature = "tower"))]
pub(crate) use self::locks::Shown;
pub use self::locks::{HeldLock, LockProvider, ShowKey};
