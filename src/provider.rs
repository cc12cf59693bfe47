//! One trait for locks by key, whether they are local or in another process: a *lock provider*.
//!
//! Code that needs a lock by key, such as a layer in front of a handler, is generic over [`LockProvider`]. An
//! [`Arc<KeyedLock>`](crate::KeyedLock) is one. A lock in a database can be another. [`AnyLocks`] chooses between them
//! at run time.
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

use std::error::Error;
use std::fmt;
use std::future::{self, Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::error::{Busy, NotAcquired, TimedOut};
use crate::fence::Fence;
use crate::verdict::{Classify, RetryKind, Verdict};

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
    fn begin(&self, key: K, ask: Ask) -> Begun<Self::Guard, Self::Wait>;

    /// Returns `true` if requests can [share](Ask::shared) a key. A provider that returns `false` locks exclusively for
    /// every request.
    fn can_share(&self) -> bool {
        false
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
pub trait HeldLock: Send + Sync {
    /// The type of the key.
    type Key;

    /// Returns the key.
    fn key(&self) -> &Self::Key;

    /// Returns the number of this grant. It is greater than that of each earlier grant of the key.
    fn fence(&self) -> Fence;

    /// Returns `true` if the lock is known to be lost: another process may hold the key now.
    ///
    /// A local lock is never lost.
    fn is_lost(&self) -> bool {
        false
    }

    /// Waits until the lock is known to be lost. With a local lock it waits for ever.
    fn lost(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(future::pending())
    }
}

/// How to request a key: whether to wait, for how long, behind how many, and whether to share it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    waits: bool,
    is_shared: bool,
    max_waiters: usize,
    timeout: Option<Duration>,
}

impl Ask {
    /// Requests the key without waiting.
    #[must_use]
    pub const fn now() -> Self {
        Self { waits: false, is_shared: false, max_waiters: usize::MAX, timeout: None }
    }

    /// Waits for the key, without a limit.
    #[must_use]
    pub const fn wait() -> Self {
        Self { waits: true, ..Self::now() }
    }

    /// Waits for at most this time, then fails with [`LockError::TimedOut`].
    #[must_use]
    #[cfg(all(feature = "tokio", not(latchwork_loom)))]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Refuses to wait behind this number of requests or more, with [`LockError::QueueFull`].
    #[must_use]
    pub const fn max_waiters(mut self, max_waiters: usize) -> Self {
        self.max_waiters = max_waiters;
        self
    }

    /// Shares the key with other requests that share it, if the provider [can](LockProvider::can_share).
    #[must_use]
    pub const fn shared(mut self) -> Self {
        self.is_shared = true;
        self
    }

    /// Returns `true` if the request waits.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.waits
    }

    /// Returns `true` if the request shares the key.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Returns the bound on the queue; `usize::MAX` by default.
    #[must_use]
    pub const fn queue_bound(&self) -> usize {
        self.max_waiters
    }

    /// Returns the longest wait, if there is a limit.
    #[must_use]
    pub const fn time_limit(&self) -> Option<Duration> {
        self.timeout
    }
}

/// The first answer to a request. `.await` turns it into the guard, or into the error.
#[derive(Debug)]
#[must_use = "a request that is dropped is withdrawn"]
pub enum Begun<G, W> {
    /// The key was free.
    Acquired(G),
    /// The key is not available.
    Refused(LockError),
    /// The key may be available later.
    Waiting(W),
}

impl<G, W: Future<Output = Result<G, LockError>>> IntoFuture for Begun<G, W> {
    type Output = Result<G, LockError>;
    type IntoFuture = BegunFuture<G, W>;

    fn into_future(self) -> BegunFuture<G, W> {
        match self {
            Self::Acquired(guard) => BegunFuture::Answered { answer: Some(Ok(guard)) },
            Self::Refused(error) => BegunFuture::Answered { answer: Some(Err(error)) },
            Self::Waiting(wait) => BegunFuture::Waiting { wait },
        }
    }
}

pin_project! {
    /// The future of a [`Begun`].
    ///
    /// # Panics
    ///
    /// If it is polled after it was ready.
    #[derive(Debug)]
    #[project = BegunFutureProj]
    pub enum BegunFuture<G, W> {
        /// It was answered at once.
        #[doc(hidden)]
        Answered { answer: Option<Result<G, LockError>> },
        /// It waits.
        #[doc(hidden)]
        Waiting { #[pin] wait: W },
    }
}

impl<G, W: Future<Output = Result<G, LockError>>> Future for BegunFuture<G, W> {
    type Output = Result<G, LockError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            BegunFutureProj::Answered { answer } => {
                Poll::Ready(answer.take().expect("a future is not polled after it was ready"))
            }
            BegunFutureProj::Waiting { wait } => wait.poll(cx),
        }
    }
}

/// Why a key could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// The key is held, and the request must not wait.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The time limit ran out.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// Too many requests wait already.
    #[error("too many requests are waiting for the lock")]
    QueueFull,
    /// The lock was lost while the answer was on its way.
    #[error("the lock was lost")]
    Lost,
    /// The provider can't be reached.
    #[error("the lock provider is unavailable")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

impl From<NotAcquired> for LockError {
    fn from(error: NotAcquired) -> Self {
        match error {
            NotAcquired::Busy(busy) => busy.into(),
            NotAcquired::TimedOut(timed_out) => timed_out.into(),
        }
    }
}

/// Each of them may pass, so an attempt may be repeated.
impl Classify for LockError {
    fn classify(&self) -> Verdict {
        match self {
            Self::Busy(_) | Self::TimedOut(_) | Self::QueueFull => Verdict::Retry(RetryKind::LockTimeout),
            Self::Lost | Self::Unavailable(_) => Verdict::Retry(RetryKind::Transient),
        }
    }
}

/// A lock provider that is chosen at run time: local in one deployment, over a database in another.
///
/// Its requests cost an allocation or two more than those of the provider behind it.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use latchwork::KeyedLock;
/// use latchwork::provider::{AnyLocks, Ask, HeldLock, LockProvider};
///
/// let locks: AnyLocks<u32> = AnyLocks::new(Arc::new(KeyedLock::new()));
/// # latchwork::__example!(async {
/// let held = locks.begin(7, Ask::now()).await?;
/// assert_eq!((held.key(), held.is_lost()), (&7, false));
/// assert!(locks.begin(7, Ask::now()).await.is_err());
/// # });
/// ```
pub struct AnyLocks<K>(Arc<dyn Erased<K>>);

/// A key held through [`AnyLocks`].
pub type AnyGuard<K> = Box<dyn HeldLock<Key = K>>;

/// A request that waits through [`AnyLocks`].
pub type AnyWait<K> = Pin<Box<dyn Future<Output = Result<AnyGuard<K>, LockError>> + Send>>;

impl<K: 'static> AnyLocks<K> {
    /// Creates a provider that forwards to `locks`.
    #[must_use]
    pub fn new(locks: impl LockProvider<K>) -> Self {
        Self(Arc::new(locks))
    }
}

impl<K> Clone for AnyLocks<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: 'static> LockProvider<K> for AnyLocks<K> {
    type Guard = AnyGuard<K>;
    type Wait = AnyWait<K>;

    fn begin(&self, key: K, ask: Ask) -> Begun<AnyGuard<K>, AnyWait<K>> {
        self.0.begin_erased(key, ask)
    }

    fn can_share(&self) -> bool {
        self.0.erased_can_share()
    }

    fn show_key(&self) -> Option<ShowKey<K>> {
        self.0.erased_show_key()
    }
}

impl<K> fmt::Debug for AnyLocks<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyLocks").finish_non_exhaustive()
    }
}

/// [`LockProvider`] without its types, so that it can stand behind a pointer.
trait Erased<K>: Send + Sync {
    fn begin_erased(&self, key: K, ask: Ask) -> Begun<AnyGuard<K>, AnyWait<K>>;
    fn erased_can_share(&self) -> bool;
    fn erased_show_key(&self) -> Option<ShowKey<K>>;
}

impl<K: 'static, L: LockProvider<K>> Erased<K> for L {
    fn begin_erased(&self, key: K, ask: Ask) -> Begun<AnyGuard<K>, AnyWait<K>> {
        match self.begin(key, ask) {
            Begun::Acquired(guard) => Begun::Acquired(Box::new(guard)),
            Begun::Refused(error) => Begun::Refused(error),
            Begun::Waiting(wait) => {
                Begun::Waiting(Box::pin(async { Ok(Box::new(wait.await?) as AnyGuard<K>) }))
            }
        }
    }

    fn erased_can_share(&self) -> bool {
        self.can_share()
    }

    fn erased_show_key(&self) -> Option<ShowKey<K>> {
        self.show_key()
    }
}

impl<H: HeldLock + ?Sized> HeldLock for Box<H> {
    type Key = H::Key;

    fn key(&self) -> &H::Key {
        (**self).key()
    }

    fn fence(&self) -> Fence {
        (**self).fence()
    }

    fn is_lost(&self) -> bool {
        (**self).is_lost()
    }

    fn lost(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        (**self).lost()
    }
}
