//! [`Scope::run`]: a whole transaction, again if it must be.

use std::future::Future;
use std::ops::ControlFlow::{Break, Continue};

use sqlx::Database;

use super::commit::CommitError;
use super::scope::Scope;
use super::stats::Ending;
use super::tx::{Returned, Tx};
use crate::RetryPolicy;
use crate::mode::Mode;
use crate::retry::{Classifier, RetryError};

impl<DB: Database> Scope<DB> {
    /// Runs `work` in a transaction, and commits if it returns `Ok`. If it returns an error, the transaction is rolled
    /// back. The policy decides whether the whole transaction is made again, with all its reads.
    ///
    /// `work` gets the transaction by value, and gives it back by dropping it. So it can't forget to commit. It may also
    /// commit or roll back itself.
    ///
    /// The policy classifies the errors of `work`, of the opening and of a commit that was refused. The latter two are made
    /// from an [`sqlx::Error`]. A transaction that may be committed is never made again, whatever the policy says: its
    /// commit has an unknown outcome (see [`CommitError::is_unknown`](super::CommitError::is_unknown)), or `work` has
    /// begun to commit it and then returned an error.
    ///
    /// # Errors
    ///
    /// Returns a [`RetryError`] with the last error, and why there was no further attempt.
    ///
    /// # Panics
    ///
    /// Panics if `work` does, and where [`begin`](Self::begin) and [`RetryPolicy::run`] do. Panics if `work` keeps the
    /// transaction beyond its end.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped at any point: the transaction is rolled back. If its commit is on its way, that goes on.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{RetryPolicy, sql::{Scope, transaction_verdict}};
    /// use sqlx::{query, query_scalar, sqlite::SqlitePoolOptions};
    ///
    /// # latchwork::__example!(in real time, async {
    /// let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    /// query("create table sweets (id integer primary key, stock integer not null)").execute(&pool).await?;
    /// query("insert into sweets values (7, 3)").execute(&pool).await?;
    ///
    /// let scope = Scope::new(pool).immediate(true);
    /// let policy = RetryPolicy::new().classify_with(transaction_verdict);
    /// let left = scope.run(&policy, async |mut tx| {
    ///     let stock: i64 = query_scalar("select stock from sweets where id = 7").fetch_one(&mut *tx).await?;
    ///     query("update sweets set stock = $1 where id = 7").bind(stock - 1).execute(&mut *tx).await?;
    ///     Ok(stock - 1)
    /// });
    /// assert_eq!(left.await?, 2);
    /// # });
    /// ```
    pub async fn run<T, E, C, F, Fut>(&self, policy: &RetryPolicy<C>, mut work: F) -> Result<T, RetryError<E>>
    where
        F: FnMut(Tx<DB>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<sqlx::Error>,
        C: Classifier<E>,
    {
        // A call keeps the mode in which it began.
        let mode = self.mode.get();
        let mut session = policy.session();
        loop {
            let result = match self.run_once(mode, &mut work).await {
                Attempt::Final(error) => return Err(session.stop(error)),
                Attempt::Ended(Err(error)) if mode != Mode::Enforce => {
                    if mode == Mode::Observe && session.would_retry(&error) {
                        self.stats.would_repeat();
                    }
                    return Err(session.stop(error));
                }
                Attempt::Ended(result) => result,
            };
            match session.settle(result).await {
                Break(out) => return out,
                Continue(()) => self.stats.repeat(),
            }
        }
    }

    async fn run_once<T, E, F, Fut>(&self, mode: Mode, work: &mut F) -> Attempt<T, E>
    where
        F: FnMut(Tx<DB>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<sqlx::Error>,
    {
        let (tx, home) = match self.open(mode).await {
            Ok(open) => Tx::lend(open),
            Err(error) => return Attempt::Ended(Err(error.into())),
        };
        // If this future is dropped, or `work` panics, the transaction goes home, and is dropped with that.
        let result = work(tx).await;
        match (result, home.returned()) {
            (Ok(value), Returned::Open(open)) => match open.commit().await {
                Ok(()) => Attempt::Ended(Ok(value)),
                Err(CommitError::Refused(error)) => Attempt::Ended(Err(error.into())),
                Err(unknown) => Attempt::Final(sqlx::Error::from(unknown).into()),
            },
            (Ok(value), Returned::RolledBack | Returned::Closed) => Attempt::Ended(Ok(value)),
            (Err(error), Returned::Open(open)) => {
                open.end(Ending::Failed);
                Attempt::Ended(Err(error))
            }
            (Err(error), Returned::RolledBack) => Attempt::Ended(Err(error)),
            // Its change may be stored.
            (Err(error), Returned::Closed) => Attempt::Final(error),
        }
    }
}

/// How an attempt ended.
enum Attempt<T, E> {
    /// The policy decides about an error.
    Ended(Result<T, E>),
    /// The transaction may be committed, so it is never made again, whatever the policy says.
    Final(E),
}
