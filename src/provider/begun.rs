//! [`Begun`]: the first answer to a request, and waiting for the rest.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::error::LockError;
use crate::error::TimedOut;
use crate::wait;

/// The first answer to a request. `.await` turns it into the guard or the error; so does [`wait`](Self::wait) on a
/// thread.
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
            Self::Acquired(guard) => BegunFuture { answer: Some(Ok(guard)), wait: None },
            Self::Refused(error) => BegunFuture { answer: Some(Err(error)), wait: None },
            Self::Waiting(wait) => BegunFuture { answer: None, wait: Some(wait) },
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
    pub struct BegunFuture<G, W> {
        answer: Option<Result<G, LockError>>,
        #[pin]
        wait: Option<W>,
    }
}

impl<G, W: Future<Output = Result<G, LockError>>> Future for BegunFuture<G, W> {
    type Output = Result<G, LockError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.wait.as_pin_mut() {
            Some(wait) => wait.poll(cx),
            None => Poll::Ready(this.answer.take().expect("a future is not polled after it was ready")),
        }
    }
}

impl<G, W: Future<Output = Result<G, LockError>>> Begun<G, W> {
    /// Blocks this thread until the request is answered.
    ///
    /// On a worker of tokio's multi-thread runtime the other tasks move to another thread first (feature `tokio`).
    /// Limit the wait with [`wait_timeout`](Self::wait_timeout): `Ask::timeout` needs the timer of a tokio runtime.
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
