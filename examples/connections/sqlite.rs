//! The service in an SQLite file.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};

use crate::compare::{Failure, Life};
use crate::server::GRACE;
use crate::side::{CONNECTIONS, QUEUE};

pub(crate) type Db = sqlx::Sqlite;

/// The type of a column that numbers its rows.
pub(crate) const NEW_ID: &str = "INTEGER PRIMARY KEY";

/// How long a statement waits while another connection writes.
const PATIENCE: Duration = Duration::from_secs(4);

/// Where the files are.
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
}

/// A file, and its connections.
pub(crate) struct Place {
    pub(crate) pool: SqlitePool,
    options: SqliteConnectOptions,
}

impl Place {
    pub(crate) async fn open(home: &Files, name: &'static str, life: Life) -> Result<Self, Failure> {
        let file = home.dir.join(name).with_extension("sqlite");
        if life == Life::Comparison && file.exists() {
            let file = file.display();
            return Err(format!("{file} exists already, and a comparison needs new files").into());
        }
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(PATIENCE);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(QUEUE);
        Ok(Self { pool: pool.connect_with(options.clone()).await?, options })
    }

    /// Returns how many sessions wait inside a transaction. From outside, a file does not show them.
    pub(crate) async fn idle_in_transaction(&self) -> Result<Option<u64>, Failure> {
        Ok(None)
    }

    /// Opens a connection of its own.
    pub(crate) async fn outsider(&self) -> Result<SqliteConnection, Failure> {
        Ok(self.options.connect().await?)
    }

    /// Closes the pool. It waits for connections that are in use, but not for ever.
    pub(crate) async fn close_pool(&self) {
        tokio::time::timeout(GRACE, self.pool.close()).await.ok();
    }

    /// Keeps what is stored.
    pub(crate) async fn remove(&self) -> Result<(), Failure> {
        Ok(())
    }
}
