//! The shop in SQLite files.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::compare::{Failure, Life};

pub(crate) type Db = sqlx::Sqlite;

/// Reads what is left in a transaction that is immediate: no other connection writes until it ends.
pub(crate) const LOCKING_READ: &str = "SELECT stock FROM sweets WHERE id = $1";

/// How long to wait for another process that has the file locked.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a request waits for a connection.
const QUEUE: Duration = Duration::from_secs(20);

/// Where the files are.
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
}

/// SQLite has one writer at a time. So there is one connection for it, and requests wait for that in the order in which
/// they come. With several, they would wait in SQLite's own way: look, sleep, look again.
pub(crate) struct Pools {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
}

impl Place {
    pub(crate) async fn open(&self, name: &str, life: Life) -> Result<Pools, Failure> {
        let file = self.dir.join(name).with_extension("sqlite");
        if life == Life::Comparison && file.exists() {
            let file = file.display();
            return Err(format!("{file} exists already, and a comparison needs new files").into());
        }
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A purchase that was answered survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE);
        let one = SqlitePoolOptions::new().max_connections(1).acquire_timeout(QUEUE);
        let writer = one.connect_with(options.clone()).await?;
        let few = SqlitePoolOptions::new().max_connections(4).acquire_timeout(QUEUE);
        Ok(Pools { writer, readers: few.connect_lazy_with(options.read_only(true)) })
    }

    /// Closes the file, with everything in it and nothing left beside it in the write-ahead log.
    pub(crate) async fn close(&self, pools: &Pools, _: &str, _: Life) -> Result<(), Failure> {
        pools.readers.close().await;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&pools.writer).await?;
        pools.writer.close().await;
        Ok(())
    }
}
