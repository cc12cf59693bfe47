//! [`Opening`]: the pending BEGIN of a transaction.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Database, SqlSafeStr, SqlStr, Transaction};
use tokio::runtime::Handle;

use super::on_runtime::OnRuntime;

type Answer<DB> = Result<Transaction<'static, DB>, sqlx::Error>;
type Begin<DB> = Pin<Box<dyn Future<Output = Answer<DB>> + Send>>;

/// BEGIN is sent, or about to be. Only this future can read the answer, so a drop does not drop it: a task polls it to
/// its end, and drops the transaction then. sqlx rolls that back.
pub(super) struct Opening<DB: Database> {
    /// `None` once it has answered.
    answer: Option<OnRuntime<Begin<DB>>>,
}

impl<DB: Database> Opening<DB> {
    pub(super) fn new(connection: PoolConnection<DB>, begin: String, runtime: Handle) -> Self {
        let begin: SqlStr = AssertSqlSafe(begin).into_sql_str();
        // `begin_with` of a connection borrows it. This is what it calls, and what `Pool::begin_with` calls, for a
        // transaction that owns its connection.
        let answer: Begin<DB> = Transaction::begin(connection, Some(begin));
        Self { answer: Some(OnRuntime::new(answer, runtime)) }
    }
}

impl<DB: Database> Future for Opening<DB> {
    type Output = Answer<DB>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer<DB>> {
        let answer = self.answer.as_mut().expect("it is not polled again after its answer");
        let answered = Pin::new(answer).poll(cx);
        if answered.is_ready() {
            self.answer = None;
        }
        answered
    }
}

impl<DB: Database> Drop for Opening<DB> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            let runtime = answer.runtime();
            let spawned = runtime.clone();
            spawned.spawn(async move {
                let began = answer.await;
                // The task may be dropped with the runtime.
                drop(OnRuntime::new(began, runtime));
            });
        }
    }
}
