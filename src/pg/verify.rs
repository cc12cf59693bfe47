//! The check of a grant inside a user's transaction.

use sqlx::{AssertSqlSafe, PgConnection};

use super::literal::Bytes;
use super::statement::Statements;
use crate::remote::Held;
use crate::sql::transaction_verdict;
use crate::verdict::{Classify, Verdict};

/// A guard could not be verified. Roll the transaction back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The lock was lost, or released: another process may hold the key now.
    #[error("the lock was lost")]
    Lost,
    /// The statement failed.
    #[error("the lock could not be verified")]
    Database(#[from] sqlx::Error),
}

/// A lost lock means [`Stop`](Verdict::Stop): the same guard stays lost, so the lock must be acquired again, too. An error of
/// the database means what [`transaction_verdict`] says.
impl Classify for VerifyError {
    fn classify(&self) -> Verdict {
        match self {
            Self::Lost => Verdict::Stop,
            Self::Database(error) => transaction_verdict(error),
        }
    }
}

impl Statements {
    /// Returns `true` if the grant is the latest one of its key and was not released. Then no other process gets the key
    /// before the transaction on this connection ends.
    ///
    /// It compares no clock. The lease may end meanwhile: the next grant waits for the end of the transaction all the same.
    /// The lock is one `for key share`, so the grant can be renewed and released meanwhile; `for share` would block both.
    ///
    /// It writes the lock into the row, so it fails in transactions that are read only. In transactions with the isolation
    /// REPEATABLE READ or stricter it fails with 40001 if there was a later grant after the transaction began to read.
    pub(crate) async fn verify(
        &self,
        connection: &mut PgConnection,
        held: &Held,
    ) -> Result<bool, sqlx::Error> {
        let sql = format!(
            "select 1 from {table} where key = {key} and fence = {fence} and holder = {holder} for key share",
            table = self.table,
            key = Bytes(&held.key),
            fence = held.fence,
            holder = self.holder,
        );
        let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_optional(connection).await?;
        Ok(row.is_some())
    }
}
