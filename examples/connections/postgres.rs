//! The service on a PostgreSQL server, in a schema of its own.

use std::process;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::sync::Mutex;

use crate::compare::{Failure, Life};
use crate::side::{CONNECTIONS, QUEUE};

pub(crate) type Db = sqlx::Postgres;

/// The type of a column that numbers its rows.
pub(crate) const NEW_ID: &str = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY";

/// Which database of which server.
pub(crate) struct Server {
    pub(crate) options: PgConnectOptions,
}

/// A schema, and the connections of a service that uses it.
pub(crate) struct Place {
    pub(crate) pool: PgPool,
    /// Looks at the others from outside.
    outside: Mutex<PgConnection>,
    /// The name of the schema and of the sessions.
    name: String,
    life: Life,
}

impl Place {
    pub(crate) async fn open(home: &Server, name: &'static str, life: Life) -> Result<Self, Failure> {
        // Two comparisons can run on one database at the same time.
        let (name, create) = match life {
            Life::Comparison => (format!("connections_{name}_{}", process::id()), "CREATE SCHEMA"),
            Life::Service => (format!("connections_{name}"), "CREATE SCHEMA IF NOT EXISTS"),
        };
        // By itself, as a pool would go on trying, and not say why it fails.
        let mut outside = PgConnection::connect_with(&home.options).await?;
        sqlx::query(AssertSqlSafe(format!("{create} {name}"))).execute(&mut outside).await?;
        let options = home.options.clone().options([("search_path", &name)]).application_name(&name);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(QUEUE);
        let pool = pool.connect_with(options).await?;
        Ok(Self { pool, outside: Mutex::new(outside), name, life })
    }

    /// Returns how many sessions wait inside a transaction, as the server shows them.
    pub(crate) async fn idle_in_transaction(&self) -> Result<Option<u64>, Failure> {
        let sql = "SELECT count(*) FROM pg_stat_activity
            WHERE application_name = $1 AND state LIKE 'idle in transaction%'";
        let mut outside = self.outside.lock().await;
        let count: i64 = sqlx::query_scalar(sql).bind(&self.name).fetch_one(&mut *outside).await?;
        Ok(Some(u64::try_from(count)?))
    }

    /// Closes the connections. All of them must be back. What a comparison has stored is removed.
    pub(crate) async fn close(&self) -> Result<(), Failure> {
        self.pool.close().await;
        if self.life == Life::Comparison {
            let drop = format!("DROP SCHEMA {} CASCADE", self.name);
            sqlx::query(AssertSqlSafe(drop)).execute(&mut *self.outside.lock().await).await?;
        }
        Ok(())
    }
}
