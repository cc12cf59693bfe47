//! The SQLite file, what both services read from it, and what can go wrong. How they write is in `naive` and
//! `guarded`.

use std::path::Path;
use std::time::Duration;

use latchwork::sql::{Scope, Tx};
use latchwork::{Stamp, versioned::Expect};
use serde::Serialize;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{FromRow, Row, Sqlite, SqlitePool};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS cards (
        id INTEGER PRIMARY KEY, slug TEXT NOT NULL, name TEXT NOT NULL, title TEXT NOT NULL, note TEXT NOT NULL,
        version INTEGER NOT NULL DEFAULT 1) STRICT;
    CREATE TABLE IF NOT EXISTS views (
        card INTEGER PRIMARY KEY REFERENCES cards, views INTEGER NOT NULL DEFAULT 0,
        version INTEGER NOT NULL DEFAULT 1) STRICT;
    CREATE TABLE IF NOT EXISTS profiles (
        user TEXT PRIMARY KEY, about TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1) STRICT;
";

/// How long to wait for another process that has the file locked.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a request waits for its turn to write.
const QUEUE: Duration = Duration::from_secs(20);

/// SQLite has one writer at a time, so there is one connection for it, and requests wait for that.
pub(crate) struct Store {
    pub(crate) writer: SqlitePool,
    writes: Scope<Sqlite>,
    pub(crate) readers: SqlitePool,
}

/// Whether two cards may have the same slug.
#[derive(Clone, Copy)]
pub(crate) enum Slugs {
    Any,
    Unique,
}

#[derive(Debug, Serialize)]
pub(crate) struct Card {
    pub(crate) id: i64,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) note: String,
    pub(crate) version: Stamp,
}

/// How often a card has been looked at. It has a version of its own: to look at a card is no edit of it.
#[derive(Debug, Serialize)]
pub(crate) struct Views {
    pub(crate) card: i64,
    pub(crate) views: i64,
    pub(crate) version: Stamp,
}

#[derive(Debug, Serialize)]
pub(crate) struct Profile {
    pub(crate) user: String,
    pub(crate) about: String,
    pub(crate) version: Stamp,
}

// By hand: the derive would build SQLite a second time, for the macro.
impl FromRow<'_, SqliteRow> for Card {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            slug: row.try_get("slug")?,
            name: row.try_get("name")?,
            title: row.try_get("title")?,
            note: row.try_get("note")?,
            version: row.try_get("version")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for Views {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            card: row.try_get("card")?,
            views: row.try_get("views")?,
            version: row.try_get("version")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for Profile {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            user: row.try_get("user")?,
            about: row.try_get("about")?,
            version: row.try_get("version")?,
        })
    }
}

/// Why something was not written, or not shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The request wants to find another version.
    #[error("another version was expected")]
    Stale { expected: Expect, current: Option<Stamp> },
    /// Somebody has written between the handler's own read and write.
    #[error("others were in the way every time")]
    Overtaken,
    #[error("there is no such card")]
    NoCard,
    #[error("there is no profile of this user")]
    NoProfile,
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

/// Whether a write finds what it wants to find.
pub(crate) fn check(expected: &Expect, current: Option<Stamp>) -> Result<(), StoreError> {
    if expected.admits(current) {
        Ok(())
    } else {
        Err(StoreError::Stale { expected: expected.clone(), current })
    }
}

impl Store {
    /// Opens the file, or makes it.
    ///
    /// With `FULL`, a commit returns when the write-ahead log is on the disk, so what was answered with 200
    /// survives a power cut. With `NORMAL` it would survive only the end of this process: the last commits
    /// may still be in the cache of the system.
    pub(crate) async fn open(file: &Path, slugs: Slugs) -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let one = SqlitePoolOptions::new().max_connections(1).acquire_timeout(QUEUE);
        let writer = one.connect_with(options.clone()).await?;
        sqlx::raw_sql(TABLES).execute(&writer).await?;
        let index = match slugs {
            Slugs::Any => "CREATE INDEX IF NOT EXISTS cards_by_slug ON cards (slug)",
            Slugs::Unique => "CREATE UNIQUE INDEX IF NOT EXISTS cards_by_slug ON cards (slug)",
        };
        sqlx::raw_sql(index).execute(&writer).await?;
        let few = SqlitePoolOptions::new().max_connections(4).acquire_timeout(QUEUE);
        let writes = Scope::new(writer.clone()).immediate(true).name("writes");
        Ok(Self { writer, writes, readers: few.connect_lazy_with(options.read_only(true)) })
    }

    /// Begins a write, which is rolled back if it is dropped: by an error, or since its client hangs up.
    pub(crate) async fn begin(&self) -> sqlx::Result<Tx<Sqlite>> {
        self.writes.begin().await
    }

    pub(crate) async fn card(&self, id: i64) -> sqlx::Result<Option<Card>> {
        sqlx::query_as("SELECT * FROM cards WHERE id = ?").bind(id).fetch_optional(&self.readers).await
    }

    pub(crate) async fn card_by_slug(&self, slug: &str) -> sqlx::Result<Option<Card>> {
        let first = "SELECT * FROM cards WHERE slug = ? ORDER BY id LIMIT 1";
        sqlx::query_as(first).bind(slug).fetch_optional(&self.readers).await
    }

    pub(crate) async fn views(&self, card: i64) -> sqlx::Result<Option<Views>> {
        sqlx::query_as("SELECT * FROM views WHERE card = ?").bind(card).fetch_optional(&self.readers).await
    }

    pub(crate) async fn profile(&self, user: &str) -> sqlx::Result<Option<Profile>> {
        sqlx::query_as("SELECT * FROM profiles WHERE user = ?").bind(user).fetch_optional(&self.readers).await
    }

    /// Closes the file, with everything in it and nothing left beside it in the write-ahead log.
    pub(crate) async fn close(&self) -> sqlx::Result<()> {
        self.readers.close().await;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await?;
        self.writer.close().await;
        Ok(())
    }
}
