//! [`LockProvider`] and [`HeldLock`]: what every provider of locks by key can do.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::ask::Ask;
use super::begun::Begun;
use super::error::LockError;
use crate::fence::Fence;

/// Hands out locks by key: in this process, or over a database.
///
/// A provider is a handle. It is cheap to clone, and its clones lock the same keys.
pub trait LockProvider<K>: Clone + Send + Sync + 'static {
    /// Holds a key until it is dropped.
    type Guard: HeldLock<Key = K> + 'static;

    /// Waits for a key. If it is dropped, the request is withdrawn and nothing stays locked.
    type Wait: Future<Output = Result<Self::Guard, LockError>> + Send + 'static;

    /// Requests `key`. A local provider acquires a free key at once, without an allocation. A remote provider may answer
    /// [`Waiting`](Begun::Waiting) to every request, even to one that must not wait, until it knows more.
    ///
    /// `begin(..).await` waits for the guard or the error: see [`Begun`].
    ///
    /// An implementation must not block and must not panic. It keeps to the request's time limit and queue bound. If it
    /// does not answer, its callers protect themselves: a layer gives up after its
    /// `answer_timeout`, and a retry after its [`lock_timeout`](crate::retry::RetryOnConflict::lock_timeout). Dropping a
    /// guard must not block either, since it happens on the workers of a runtime.
    fn begin(&self, key: K, ask: Ask) -> Begun<Self::Guard, Self::Wait>;

    /// Returns `true` if requests can [share](Ask::shared) a key. A provider that returns `false` locks exclusively for
    /// every request.
    fn can_share(&self) -> bool {
        false
    }

    /// Returns the name of the locks in events, spans and metrics, if they have one.
    fn name(&self) -> Option<&'static str> {
        None
    }

    /// Returns how to write a key in logs, if keys may be shown there at all.
    fn show_key(&self) -> Option<ShowKey<K>> {
        None
    }
}

/// Writes a key for a log.
pub type ShowKey<K> = fn(&K, &mut fmt::Formatter<'_>) -> fmt::Result;

/// A key together with the way to show it.
#[cfg(any(feature = "tracing", feature = "tower"))]
pub(crate) struct Shown<'a, K>(&'a K, ShowKey<K>);

#[cfg(any(feature = "tracing", feature = "tower"))]
impl<'a, K> Shown<'a, K> {
    pub(crate) fn new(show: Option<ShowKey<K>>, key: &'a K) -> Option<Self> {
        show.map(|show| Self(key, show))
    }
}

#[cfg(any(feature = "tracing", feature = "tower"))]
impl<K> fmt::Display for Shown<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !std::thread::panicking() {
            return (self.1)(self.0, f);
        }
        // A panic that leaves a destructor while the thread unwinds would abort the process.
        let shown = std::panic::AssertUnwindSafe(|| (self.1)(self.0, f));
        std::panic::catch_unwind(shown).unwrap_or_else(|_| f.write_str("?"))
    }
}

/// A key that is held. Dropping it releases the key.
///
/// A lock without rising numbers, such as a session's advisory lock, can't be one: without a fence the store can't refuse
/// a late write.
pub trait HeldLock: Send + Sync {
    /// The type of the key.
    type Key;

    /// Returns the key.
    fn key(&self) -> &Self::Key;

    /// Returns the number of this grant. It is greater than that of each earlier grant of the key.
    fn fence(&self) -> Fence;

    /// Returns `true` if the lock is known to be lost: another process may hold the key now.
    ///
    /// A local lock is never lost. The answer is a look at this process's own state, and does not block.
    fn is_lost(&self) -> bool;

    /// Waits until [`is_lost`](Self::is_lost) is `true`. With a local lock it waits for ever.
    fn lost(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
