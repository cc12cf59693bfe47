//! The shop on a PostgreSQL server, in a schema of its own.

use std::process;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use crate::compare::{Failure, Life};

pub(crate) type Db = sqlx::Postgres;

/// Reads what is left, and locks the row until the transaction ends.
pub(crate) const LOCKING_READ: &str = "SELECT stock FROM sweets WHERE id = $1 FOR UPDATE";

/// How many requests can talk to the server at the same time.
const CONNECTIONS: u32 = 20;

/// How long a request waits for a connection.
const QUEUE: Duration = Duration::from_secs(20);

/// Which database of which server.
pub(crate) struct Place {
    pub(crate) options: PgConnectOptions,
}

/// The same connections read and write.
pub(crate) struct Pools {
    pub(crate) writer: PgPool,
    pub(crate) readers: PgPool,
}

impl Place {
    pub(crate) async fn open(&self, name: &str, life: Life) -> Result<Pools, Failure> {
        let schema = schema(name, life);
        // By itself, as a pool would go on trying, and not say why it fails.
        let mut first = PgConnection::connect_with(&self.options).await?;
        let create = match life {
            Life::Comparison => format!("CREATE SCHEMA {schema}"),
            Life::Service => format!("CREATE SCHEMA IF NOT EXISTS {schema}"),
        };
        sqlx::query(AssertSqlSafe(create)).execute(&mut first).await?;
        first.close().await?;
        let options = self.options.clone().options([("search_path", &schema)]);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(QUEUE);
        let pool = pool.connect_with(options).await?;
        Ok(Pools { writer: pool.clone(), readers: pool })
    }

    /// Closes the connections. What a comparison has stored is removed.
    pub(crate) async fn close(&self, pools: &Pools, name: &str, life: Life) -> Result<(), Failure> {
        if life == Life::Comparison {
            let drop = format!("DROP SCHEMA {} CASCADE", schema(name, life));
            sqlx::query(AssertSqlSafe(drop)).execute(&pools.writer).await?;
        }
        pools.writer.close().await;
        Ok(())
    }
}

/// Two comparisons can run on one database at the same time.
pub(crate) fn schema(name: &str, life: Life) -> String {
    match life {
        Life::Comparison => format!("sweet_shop_{name}_{}", process::id()),
        Life::Service => format!("sweet_shop_{name}"),
    }
}
