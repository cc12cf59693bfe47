//! Whether connections have sessions of their own, or share those of a pooler.
//!
//! A pooler in transaction mode gives a session to another client after each transaction. What this crate says to a session
//! that stays, `LISTEN`, would come to clients that do not expect it: sqlx takes a notification for a broken answer then.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, raw_sql};

/// Returns `true` if a second connection gets the session of the first one. Poolers prefer the session that was used last. So
/// `false` is no proof, if others use the pooler at the same moment.
pub(super) async fn shares_sessions(options: &PgConnectOptions, mark: u64) -> Result<bool, sqlx::Error> {
    let mut first = PgConnection::connect_with(options).await?;
    raw_sql(AssertSqlSafe(format!("set latchwork.session = '{mark}'"))).execute(&mut first).await?;
    let mut second = PgConnection::connect_with(options).await?;
    let look = raw_sql("select current_setting('latchwork.session', true)").fetch_one(&mut second).await?;
    let is_shared = look.try_get::<Option<&str>, _>(0)?.is_some_and(|seen| seen == mark.to_string());
    if is_shared {
        raw_sql("reset latchwork.session").execute(&mut second).await?;
    }
    second.close().await?;
    first.close().await?;
    Ok(is_shared)
}
