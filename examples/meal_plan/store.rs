//! The SQLite file: rotations, plans and their events, and the audit that tells whether they agree.
//!
//! A user's *position* in the rotation of meals says which slots have been planned: all below it. A
//! plan of `d` days that starts at position `p` records one event for each of the slots `p..p + d` and
//! moves the position from `p` to `p + d`, in one transaction. A request that fails, panics or is
//! abandoned before that leaves no trace, so in a sound file, whatever else happened,
//!
//! - no two events of a user have the same slot; each one beyond the first is a **duplicate event**;
//! - a user's position is the number of days in all the user's plans; otherwise a plan has undone
//!   another one's move, and the user's **rotation is corrupted**.

use std::path::Path;
use std::time::Duration;

use axum::http::StatusCode;
use latchwork::web::Problem;
use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{QueryBuilder, SqlitePool};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS rotations (user TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS plans (
        id INTEGER PRIMARY KEY, user TEXT NOT NULL, position INTEGER NOT NULL, days INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS events (
        plan INTEGER NOT NULL REFERENCES plans, user TEXT NOT NULL, slot INTEGER NOT NULL, meal TEXT NOT NULL) STRICT;
    CREATE INDEX IF NOT EXISTS plans_of_user ON plans (user);
    CREATE INDEX IF NOT EXISTS events_of_plan ON events (plan);
";

/// How long to wait for another process that has the file locked.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something went wrong in SQLite.
#[derive(Debug, thiserror::Error)]
#[error("the store failed: {0}")]
pub(crate) struct StoreError(#[from] sqlx::Error);

/// The client is not told what.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        eprintln!("{error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR).with_detail("the store failed")
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// SQLite has one writer at a time, so there is one connection for it: nothing ever waits in
/// SQLite's busy handler, and nothing fails in it.
pub(crate) struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) user: String,
    /// The slot of the first meal.
    pub(crate) position: i64,
    pub(crate) meals: Vec<String>,
}

/// What the file says when everybody has gone home.
pub(crate) struct Audit {
    pub(crate) plans: u64,
    pub(crate) duplicate_events: u64,
    pub(crate) corrupted_rotations: u64,
}

impl Store {
    pub(crate) async fn open(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(PATIENCE);
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        sqlx::raw_sql(TABLES).execute(&writer).await?;
        let readers = SqlitePoolOptions::new().max_connections(2).connect_lazy_with(options.read_only(true));
        Ok(Self { writer, readers })
    }

    /// Where the user's next plan starts.
    ///
    /// It asks the writer's connection, which runs one statement after the other: a commit whose
    /// request was abandoned meanwhile, and whose lock is free already, comes first.
    pub(crate) async fn position(&self, user: &str) -> Result<i64> {
        let position = sqlx::query_scalar("SELECT position FROM rotations WHERE user = ?").bind(user);
        Ok(position.fetch_optional(&self.writer).await?.unwrap_or(0))
    }

    /// Records the plan's events and moves the rotation behind them.
    pub(crate) async fn record(&self, plan: &Plan) -> Result<()> {
        let days = plan.meals.len() as i64;
        let mut tx = self.writer.begin().await?;
        let id: i64 =
            sqlx::query_scalar("INSERT INTO plans (user, position, days) VALUES (?, ?, ?) RETURNING id")
                .bind(&plan.user)
                .bind(plan.position)
                .bind(days)
                .fetch_one(&mut *tx)
                .await?;
        QueryBuilder::new("INSERT INTO events (plan, user, slot, meal) ")
            .push_values((plan.position..).zip(&plan.meals), |mut row, (slot, meal)| {
                row.push_bind(id).push_bind(&plan.user).push_bind(slot).push_bind(meal);
            })
            .build()
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO rotations VALUES (?, ?) ON CONFLICT DO UPDATE SET position = excluded.position",
        )
        .bind(&plan.user)
        .bind(plan.position + days)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The user's latest plan.
    pub(crate) async fn latest(&self, user: &str) -> Result<Option<Plan>> {
        let latest = "SELECT id, position FROM plans WHERE user = ? ORDER BY id DESC LIMIT 1";
        let latest = sqlx::query_as(latest).bind(user).fetch_optional(&self.readers).await?;
        let Some((id, position)) = latest else { return Ok(None) };
        let id: i64 = id;
        let meals = sqlx::query_scalar("SELECT meal FROM events WHERE plan = ? ORDER BY slot").bind(id);
        Ok(Some(Plan { user: user.to_owned(), position, meals: meals.fetch_all(&self.readers).await? }))
    }

    pub(crate) async fn audit(&self) -> Result<Audit> {
        let count = async |sql| {
            Ok::<_, StoreError>(sqlx::query_scalar::<_, u64>(sql).fetch_one(&self.readers).await?)
        };
        Ok(Audit {
            plans: count("SELECT count(*) FROM plans").await?,
            duplicate_events: count(
                "SELECT (SELECT count(*) FROM events) - (SELECT count(*) FROM (SELECT DISTINCT user, slot FROM events))",
            )
            .await?,
            corrupted_rotations: count(
                "SELECT count(*) FROM rotations AS r
                 WHERE position <> (SELECT sum(days) FROM plans WHERE user = r.user)",
            )
            .await?,
        })
    }

    /// Closes the file, with everything in it and nothing left beside it in the write-ahead log.
    pub(crate) async fn close(&self) -> Result<()> {
        self.readers.close().await;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&self.writer).await?;
        self.writer.close().await;
        Ok(())
    }
}
