//! Calls by a policy: in a task, on a thread, or attempt by attempt.

use std::future::Future;

use super::attempt::Attempt;
use super::classify::Classifier;
use super::error::RetryError;
use super::policy::RetryPolicy;
use super::session::Session;

impl<C> RetryPolicy<C> {
    /// Calls `attempt` in a task until it succeeds or the policy gives up. The closure gets the number of the attempt,
    /// and makes a new future for each.
    ///
    /// # Errors
    ///
    /// Returns a [`RetryError`] with the last attempt's error, and why there was no further attempt.
    ///
    /// # Panics
    ///
    /// Panics if it has to wait and can't: without a [`clock`](Self::clock), outside a tokio runtime with its time
    /// driver enabled. Debug builds panic there even if no wait is needed, and so do all builds without the
    /// feature `tokio`.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped at any point: no further call is made, and the tokens of a retry that had not begun
    /// return to the budget. What the attempt under way has done depends on the attempt.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, verdict::{RetryKind, Verdict}};
    ///
    /// # latchwork::__example!(async {
    /// async fn save(card: &str, attempt: u32) -> Result<usize, &'static str> {
    ///     if attempt < 3 { Err("the database restarts") } else { Ok(card.len()) }
    /// }
    ///
    /// let card = String::from("ada");
    /// let policy = RetryPolicy::new().classify_with(|_: &&str| Verdict::Retry(RetryKind::Transient));
    /// assert_eq!(policy.run(|attempt| save(&card, attempt.number())).await, Ok(3));
    /// # });
    /// ```
    pub async fn run<T, E, F, Fut>(&self, mut attempt: F) -> Result<T, RetryError<E>>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Classifier<E>,
    {
        self.report_misuse();
        let mut session = self.session();
        loop {
            // A success goes straight to the caller: on its way through `judge` it would be copied.
            match attempt(session.attempt()).await {
                Ok(value) => {
                    session.succeed();
                    return Ok(value);
                }
                Err(error) => {
                    let wait = session.fail(error)?;
                    session.wait(wait).await;
                    session.start();
                }
            }
        }
    }

    /// Calls `attempt` on this thread until it succeeds or the policy gives up. On a worker of tokio's
    /// multi-thread runtime the other tasks move to another thread while it waits.
    ///
    /// Waits of zero let other tasks run, except in a current-thread runtime or a `LocalSet`: nothing else runs there until
    /// the call ends.
    ///
    /// # Errors
    ///
    /// Returns a [`RetryError`] with the last attempt's error, and why there was no further attempt.
    ///
    /// # Panics
    ///
    /// Panics if it has to wait inside a task of a current-thread runtime or a `LocalSet`.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// let policy = latchwork::RetryPolicy::new();
    /// let guard = policy.run_blocking(|_| locks.try_lock(7))?;
    /// assert_eq!(guard.key(), &7);
    /// # Ok::<(), latchwork::retry::RetryError<latchwork::Busy>>(())
    /// ```
    pub fn run_blocking<T, E, F>(&self, mut attempt: F) -> Result<T, RetryError<E>>
    where
        F: FnMut(Attempt) -> Result<T, E>,
        C: Classifier<E>,
    {
        let mut session = self.session();
        loop {
            match attempt(session.attempt()) {
                Ok(value) => {
                    session.succeed();
                    return Ok(value);
                }
                Err(error) => {
                    let wait = session.fail(error)?;
                    session.wait_blocking(wait);
                    session.start();
                }
            }
        }
    }

    /// Begins a call whose attempts the caller makes: see [`Session`].
    #[inline]
    pub fn session(&self) -> Session<'_, C> {
        let mut session = Session::new(self);
        session.start();
        session
    }
}
