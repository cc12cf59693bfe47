//! [`PgAcquire`]: a request, and how it waits.

use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use super::lock::PgWait;
use crate::provider::{Ask, Begun, BegunFuture, LockError};

/// A request for keys. It does nothing until it is awaited, or [`wait`](Self::wait) is called.
///
/// # Errors
///
/// - [`LockError::Busy`]: another holder has the key, and the request must not wait.
/// - [`LockError::TimedOut`], [`LockError::QueueFull`]: the limits that were set.
/// - [`LockError::BadKey`]: the key has too many bytes, or the same bytes as another key that this process holds or waits for.
/// - [`LockError::Unavailable`]: the locks were shut down; or the request does not wait, and the database did not answer for
///   the length of a lease. A request that waits goes on, so set a [`timeout`](Self::timeout).
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use latchwork::provider::LockError;
///
/// # async fn example(items: latchwork::pg::PgKeyedLock<i64>) -> Result<(), LockError> {
/// match items.lock_owned(7).timeout(Duration::from_secs(2)).max_waiters(100).await {
///     Ok(item) => assert_eq!(*item.key(), 7),
///     Err(LockError::TimedOut(_) | LockError::QueueFull) => println!("too many want item 7"),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a request does nothing until it is awaited"]
pub struct PgAcquire<G> {
    begin: Box<dyn FnOnce(Ask) -> Begun<G, PgWait<G>> + Send>,
    ask: Ask,
}

impl<G> PgAcquire<G> {
    pub(super) fn new(ask: Ask, begin: impl FnOnce(Ask) -> Begun<G, PgWait<G>> + Send + 'static) -> Self {
        Self { begin: Box::new(begin), ask }
    }

    /// Sets how long to wait, in this process and for the database together. It needs a tokio runtime.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.ask = self.ask.timeout(timeout);
        self
    }

    /// Refuses to wait behind this number of requests of this process or more. A request for several keys has no such limit.
    pub fn max_waiters(mut self, max_waiters: usize) -> Self {
        self.ask = self.ask.max_waiters(max_waiters);
        self
    }

    /// Blocks this thread until the request is answered.
    ///
    /// # Errors
    ///
    /// Returns why the keys could not be locked.
    ///
    /// # Panics
    ///
    /// Panics where [`Begun::wait`] does.
    #[track_caller]
    pub fn wait(self) -> Result<G, LockError> {
        (self.begin)(self.ask).wait()
    }

    /// Blocks this thread until the request is answered, for this time at most.
    ///
    /// # Errors
    ///
    /// Returns why the keys could not be locked.
    ///
    /// # Panics
    ///
    /// Panics where [`Begun::wait`] does.
    #[track_caller]
    pub fn wait_timeout(self, timeout: Duration) -> Result<G, LockError> {
        (self.begin)(self.ask).wait_timeout(timeout)
    }
}

impl<G> IntoFuture for PgAcquire<G> {
    type Output = Result<G, LockError>;
    type IntoFuture = BegunFuture<G, PgWait<G>>;

    fn into_future(self) -> BegunFuture<G, PgWait<G>> {
        (self.begin)(self.ask).into_future()
    }
}

impl<G> fmt::Debug for PgAcquire<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgAcquire").field("ask", &self.ask).finish_non_exhaustive()
    }
}
