//! The service in an SQLite file.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::compare::{Failure, Life};
use crate::side::{CONNECTIONS, QUEUE};

pub(crate) type Db = sqlx::Sqlite;

/// The type of a column that numbers its rows.
pub(crate) const NEW_ID: &str = "INTEGER PRIMARY KEY";

/// How long a statement waits while another connection writes.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the files are.
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
}

/// A file, and its connections.
pub(crate) struct Place {
    pub(crate) pool: SqlitePool,
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
        Ok(Self { pool: pool.connect_with(options).await? })
    }

    /// Returns how many sessions wait inside a transaction. From outside, a file does not show them.
    pub(crate) async fn idle_in_transaction(&self) -> Result<Option<u64>, Failure> {
        Ok(None)
    }

    /// Closes the connections. All of them must be back.
    pub(crate) async fn close(&self) -> Result<(), Failure> {
        self.pool.close().await;
        Ok(())
    }
}
