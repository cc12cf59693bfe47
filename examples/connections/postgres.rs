//! The service on a PostgreSQL server, in a schema of its own.

use std::process;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, PgPool};
use tokio::sync::Mutex;

use crate::compare::{Failure, Life};
use crate::server::GRACE;
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
    options: PgConnectOptions,
    /// Looks at the sessions of the pool from outside.
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
        let mut outside = home.options.connect().await?;
        sqlx::query(AssertSqlSafe(format!("{create} {name}"))).execute(&mut outside).await?;
        let options = home.options.clone().options([("search_path", &name)]);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(QUEUE);
        let pool = pool.connect_with(options.clone().application_name(&name)).await?;
        Ok(Self { pool, options, outside: Mutex::new(outside), name, life })
    }

    /// Returns how many sessions wait inside a transaction, as the server shows them.
    pub(crate) async fn idle_in_transaction(&self) -> Result<Option<u64>, Failure> {
        let sql = "SELECT count(*) FROM pg_stat_activity
            WHERE application_name = $1 AND state LIKE 'idle in transaction%'";
        let mut outside = self.outside.lock().await;
        let count: i64 = sqlx::query_scalar(sql).bind(&self.name).fetch_one(&mut *outside).await?;
        Ok(Some(u64::try_from(count)?))
    }

    /// Opens a connection of its own.
    pub(crate) async fn outsider(&self) -> Result<PgConnection, Failure> {
        Ok(self.options.connect().await?)
    }

    /// Closes the pool. It waits for connections that are in use, but not for ever.
    pub(crate) async fn close_pool(&self) {
        tokio::time::timeout(GRACE, self.pool.close()).await.ok();
    }

    /// Removes what a comparison has stored.
    pub(crate) async fn remove(&self) -> Result<(), Failure> {
        if self.life == Life::Service {
            return Ok(());
        }
        let mut outside = self.outside.lock().await;
        // A session that was leaked holds its locks.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
        sqlx::query(end).bind(&self.name).execute(&mut *outside).await?;
        let drop = format!("DROP SCHEMA {} CASCADE", self.name);
        sqlx::query(AssertSqlSafe(drop)).execute(&mut *outside).await?;
        Ok(())
    }
}
