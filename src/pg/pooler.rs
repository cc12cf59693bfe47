//! Whether a connection has a session of its own, or shares those of a pooler.
//!
//! A pooler in transaction mode gives a session to another client after each transaction. So clients that do not listen get
//! notifications, and sqlx takes one for a broken answer.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::{Connection, Executor, PgConnection, Postgres, Row, raw_sql};
use tokio::time::timeout;

/// How long another connection may take. If it can't be made, nothing is known.
const LIMIT: Duration = Duration::from_secs(1);

/// Returns `true` if the session of a connection changes, or if another connection gets the same one.
///
/// Poolers give the session that was used last, or each in turn. So `false` is no proof while others use the pooler.
pub(super) async fn shares_sessions(
    first: &mut PgListener,
    options: &PgConnectOptions,
) -> Result<bool, sqlx::Error> {
    let own = session(&mut *first).await?;
    let mut second = timeout(LIMIT, PgConnection::connect_with(options)).await.ok().and_then(Result::ok);
    // Several times, as others may take their turns in between. And the first one twice in a row: two that ask in turn could
    // get the same two sessions again and again.
    for _ in 0..5 {
        if let Some(connection) = &mut second {
            match timeout(LIMIT, session(connection)).await {
                Ok(Ok(other)) if other == own => return Ok(true),
                Ok(Ok(_)) => {}
                _ => second = None,
            }
        }
        if session(&mut *first).await? != own || session(&mut *first).await? != own {
            return Ok(true);
        }
    }
    if let Some(connection) = second {
        // What it would say is known already.
        let _ = timeout(LIMIT, connection.close()).await;
    }
    Ok(false)
}

/// Returns what no other session has: the number of the server's process, and when the server began.
async fn session<'c>(connection: impl Executor<'c, Database = Postgres>) -> Result<(i32, i64), sqlx::Error> {
    let sql = "select pg_backend_pid(), (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint";
    let row = raw_sql(sql).fetch_one(connection).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
