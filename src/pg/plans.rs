//! [`Plans`]: what a connection keeps prepared, so that the server need not plan each small batch.
//!
//! To plan the statements of one key takes the server several times as long as to execute them. So they are prepared when
//! the connection is made, and planned once. A big batch is sent as text instead: it is planned for the number of its keys.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Executor, Postgres};

use super::statement::{Kind, Statements, Terms};
use super::table::BEGIN;
use crate::remote::{Answers, Batch};

/// The plans of one connection.
#[derive(Debug)]
pub(super) struct Plans {
    /// `None`: nothing is prepared.
    prepared: Option<Prepared>,
}

#[derive(Debug)]
struct Prepared {
    /// The beginning of the statements' names.
    name: String,
    /// The last time of planning.
    planned: Instant,
}

/// The largest batch that is executed by kept plans. PostgreSQL makes them for arrays of ten.
const SMALL: usize = 20;

/// After this time the server plans anew. A plan for an almost empty table reads the whole table, and the table may grow.
const LASTS: Duration = Duration::from_secs(1);

/// A process that holds nothing asks nothing. Its session must not be ended for that. PostgreSQL 13 has no such limit.
const NEVER_IDLE: &str =
    "select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout'; ";

impl Plans {
    /// Keeps nothing: each batch is planned.
    pub(super) fn none() -> Self {
        Self { prepared: None }
    }

    /// Whether anything is prepared.
    pub(super) fn are_kept(&self) -> bool {
        self.prepared.is_some()
    }

    /// Prepares the statements on a new connection.
    pub(super) async fn prepare<'c>(
        statements: &Statements,
        connection: impl Executor<'c, Database = Postgres>,
    ) -> Result<Self, sqlx::Error> {
        let terms = Terms::parameters();
        let texts = Kind::ALL.map(|kind| statements.sql(kind, &terms));
        // A pooler can give an old session to a new connection, with the statements of another process. So what has the
        // same name must be the same.
        let mut hasher = DefaultHasher::new();
        (Terms::TYPES, &texts).hash(&mut hasher);
        let prepared = Prepared { name: format!("latchwork_{:x}", hasher.finish()), planned: Instant::now() };
        let mut sql = BEGIN.to_owned() + NEVER_IDLE;
        for (kind, text) in Kind::ALL.into_iter().zip(&texts) {
            sql += &format!("prepare {} ({}) as {text}; ", prepared.named(kind), Terms::TYPES);
        }
        match connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await {
            // The session is not new, and has them already.
            Err(error) if !has_code(&error, "42P05") => Err(error),
            _ => Ok(Self { prepared: Some(prepared) }),
        }
    }

    /// Asks the database. After an error that the server sent, nothing of the batch was done and no transaction is open.
    pub(super) async fn ask<C>(
        &mut self,
        statements: &Statements,
        connection: &mut C,
        batch: &Batch,
    ) -> Result<Answers, sqlx::Error>
    where
        for<'c> &'c mut C: Executor<'c, Database = Postgres>,
    {
        let mut sql = self.message(statements, batch);
        loop {
            match run(&mut *connection, sql).await {
                // A pooler has sent the message to another session.
                Err(error) if self.prepared.is_some() && has_code(&error, "26000") => {
                    self.prepared = None;
                    sql = self.message(statements, batch);
                }
                rows => return statements.answers(batch, &rows?),
            }
        }
    }

    pub(super) fn message(&mut self, statements: &Statements, batch: &Batch) -> String {
        match &mut self.prepared {
            Some(prepared) if batch.size() <= SMALL => prepared.message(statements, batch),
            _ => statements.text(batch),
        }
    }

    /// Lets the time pass after which plans are made anew.
    #[cfg(test)]
    pub(super) fn grow_old(&mut self) {
        if let Some(prepared) = &mut self.prepared {
            prepared.planned -= LASTS;
        }
    }
}

impl Prepared {
    fn message(&mut self, statements: &Statements, batch: &Batch) -> String {
        // Otherwise the server takes a plan for ten keys to be too costly for one, and plans each time.
        let mut first = "set local plan_cache_mode = force_generic_plan; ".to_owned();
        if self.planned.elapsed() >= LASTS {
            self.planned = Instant::now();
            first += "discard plans; ";
        }
        statements.text_prepared(batch, &first, |kind| self.named(kind))
    }

    fn named(&self, kind: Kind) -> String {
        format!("{}_{kind:?}", self.name).to_lowercase()
    }
}

async fn run<'c>(
    connection: impl Executor<'c, Database = Postgres>,
    sql: String,
) -> Result<Vec<PgRow>, sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|its| its == code)
}
