//! Waiting for a [`Begun`] request on a thread.

use std::future::Future;
use std::time::{Duration, Instant};

use super::{Begun, LockError};
use crate::error::TimedOut;
use crate::wait;

impl<G, W: Future<Output = Result<G, LockError>>> Begun<G, W> {
    /// Blocks this thread until the request is answered.
    ///
    /// On a worker of tokio's multi-thread runtime the other tasks move to another thread first (feature `tokio`).
    /// Limits the wait with [`wait_timeout`](Self::wait_timeout): `Ask::timeout` needs the timer of a tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns the provider's [`LockError`].
    ///
    /// # Panics
    ///
    /// Panics if it has to park inside a task of a current-thread runtime or a `LocalSet`. Debug builds panic
    /// there even if the key is free.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use latchwork::{KeyedLock, provider::{Ask, LockProvider}};
    ///
    /// let locks = Arc::new(KeyedLock::<u32>::new());
    /// let held = locks.begin(7, Ask::wait()).wait()?;
    /// assert_eq!(held.key(), &7);
    /// # Ok::<(), latchwork::provider::LockError>(())
    /// ```
    #[track_caller]
    pub fn wait(self) -> Result<G, LockError> {
        wait::report_misuse();
        match self {
            Self::Acquired(guard) => Ok(guard),
            Self::Refused(error) => Err(error),
            Self::Waiting(wait) => {
                wait::block_on(wait, None).expect("a wait without a deadline ends with an answer")
            }
        }
    }

    /// Blocks this thread until the request is answered, for `timeout` at most. A zero timeout looks once.
    ///
    /// # Errors
    ///
    /// Returns [`LockError::TimedOut`] if the time runs out, after the request is withdrawn. Otherwise returns the
    /// provider's error.
    ///
    /// # Panics
    ///
    /// Panics where [`wait`](Self::wait) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// use latchwork::{KeyedLock, provider::{Ask, LockError, LockProvider}};
    ///
    /// let locks = Arc::new(KeyedLock::<u32>::new());
    /// let _held = locks.try_lock(7)?;
    /// let error = locks.begin(7, Ask::wait()).wait_timeout(Duration::ZERO).unwrap_err();
    /// assert!(matches!(error, LockError::TimedOut(_)));
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[track_caller]
    pub fn wait_timeout(self, timeout: Duration) -> Result<G, LockError> {
        wait::report_misuse();
        match self {
            Self::Acquired(guard) => Ok(guard),
            Self::Refused(error) => Err(error),
            // A deadline beyond the clock's range never comes.
            Self::Waiting(wait) => wait::block_on(wait, Instant::now().checked_add(timeout))
                .unwrap_or(Err(LockError::TimedOut(TimedOut::NEW))),
        }
    }
}
