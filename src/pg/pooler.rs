//! Whether a connection has a session of its own, or shares those of a pooler.
//!
//! A pooler in transaction mode gives a session to another client after each transaction. So clients that do not listen get
//! notifications, and sqlx takes one for a broken answer.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Postgres, Row, raw_sql};
use tokio::time::timeout;

/// How long another connection may take. If there is none to have, nothing is known.
const LIMIT: Duration = Duration::from_secs(1);

/// Marks the session of a connection. Returns `true` if the mark is gone right after that, or if another connection has it.
///
/// Poolers give the session that was used last, or each in turn. So `false` is no proof while others use the pooler.
pub(super) async fn shares_sessions(
    first: &mut PgListener,
    options: &PgConnectOptions,
    mark: u64,
) -> Result<bool, sqlx::Error> {
    let mark = mark.to_string();
    let set = AssertSqlSafe(format!("set latchwork.session = '{mark}'"));
    raw_sql(set).execute(&mut *first).await?;
    // Several times, as others may take their turns in between.
    for _ in 0..5 {
        if look(&mut *first).await? != mark {
            return Ok(true);
        }
    }
    let second = timeout(LIMIT, async {
        let mut second = PgConnection::connect_with(options).await?;
        let seen = look(&mut second).await?;
        second.close().await?;
        Ok::<_, sqlx::Error>(seen)
    });
    let is_seen = matches!(second.await, Ok(Ok(seen)) if seen == mark);
    raw_sql("reset latchwork.session").execute(first).await?;
    Ok(is_seen)
}

/// Returns the mark of a session. Without one, it is empty.
async fn look<'c>(connection: impl Executor<'c, Database = Postgres>) -> Result<String, sqlx::Error> {
    let sql = "select coalesce(current_setting('latchwork.session', true), '')";
    raw_sql(sql).fetch_one(connection).await?.try_get(0)
}
