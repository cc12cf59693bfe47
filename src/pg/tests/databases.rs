//! Databases of the run's own server, and processes that ask them.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, raw_sql};

use super::{Answers, Batch, Busy, Held, Take, cluster};
use crate::pg::plans::Plans;
use crate::pg::statement::Statements;
use crate::pg::table::{BEGIN, Table};
use crate::remote::KeyBytes;

pub(super) fn options(database: &str) -> PgConnectOptions {
    PgConnectOptions::new().socket(cluster::socket()).username("tests").database(database)
}

pub(super) async fn connect(database: &str) -> PgConnection {
    PgConnection::connect_with(&options(database)).await.expect("the server answers")
}

/// Returns the name of an empty database.
pub(super) async fn empty_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let name = format!("leases_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    run(&mut connect("postgres").await, &format!("create database {name}")).await;
    name
}

/// Returns the name of a database with a table of leases.
pub(super) async fn database() -> String {
    let name = empty_database().await;
    table().create(&mut connect(&name).await).await.expect("the table is created");
    name
}

/// A name that needs its quotes.
pub(super) fn table() -> Table {
    Table::new(Some("public"), r#"the "locks" \ of a'shop"#).expect("it is short")
}

pub(super) async fn run(connection: &mut PgConnection, sql: &str) {
    raw_sql(AssertSqlSafe(sql)).execute(connection).await.expect(sql);
}

pub(super) fn key(name: &str) -> KeyBytes {
    name.as_bytes().into()
}

/// A process with a connection of its own.
pub(super) struct Process {
    pub(super) connection: PgConnection,
    pub(super) statements: Statements,
    pub(super) plans: Plans,
}

impl Process {
    /// Connects as a new process.
    pub(super) async fn connect(database: &str, lease: Duration) -> Self {
        static NEXT: AtomicI64 = AtomicI64::new(1);

        let holder = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            connection: connect(database).await,
            statements: Statements::new(table(), holder, lease),
            plans: Plans::none(),
        }
    }

    /// Prepares its statements.
    pub(super) async fn prepared(mut self) -> Self {
        self.plans = Plans::prepare(&self.statements, &mut self.connection).await.expect("the names are new");
        self
    }

    pub(super) async fn try_ask(&mut self, batch: &Batch) -> Result<Answers, sqlx::Error> {
        self.plans.ask(&self.statements, &mut self.connection, batch).await
    }

    pub(super) async fn ask(&mut self, batch: &Batch) -> Answers {
        self.try_ask(batch).await.expect("the database answers")
    }

    /// Takes the key if it is free.
    pub(super) async fn take(&mut self, name: &str) -> Result<Held, Busy> {
        self.poll(name, false).await
    }

    pub(super) async fn poll(&mut self, name: &str, waits: bool) -> Result<Held, Busy> {
        let batch = Batch { take: vec![Take { key: key(name), waits }], ..Batch::default() };
        let mut answers = self.ask(&batch).await;
        match (answers.granted.pop(), answers.busy.pop()) {
            (Some(grant), None) => Ok(grant.held),
            (None, Some(busy)) => Err(busy),
            both => panic!("a take has one answer, not {both:?}"),
        }
    }

    pub(super) async fn pass(&mut self, held: &Held) -> Answers {
        self.ask(&Batch { pass: vec![held.clone()], ..Batch::default() }).await
    }

    pub(super) async fn renew(&mut self, held: &Held) -> Answers {
        self.ask(&Batch { renew: vec![held.clone()], ..Batch::default() }).await
    }

    pub(super) async fn release(&mut self, held: &Held) -> Answers {
        self.ask(&Batch { release: vec![held.clone()], ..Batch::default() }).await
    }

    /// Returns `true` if this batch writes anything: then its transaction gets an id.
    pub(super) async fn writes(&mut self, batch: &Batch) -> bool {
        let statements = self.plans.message(&self.statements, batch);
        // The last statement of the same message, and so of the same transaction.
        let sql = format!("{statements}select pg_current_xact_id_if_assigned() is not null as writes");
        let rows =
            raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await.expect("the database answers");
        rows.last().expect("each look has a line").try_get("writes").expect("it is the last line")
    }

    /// Ends the lease of a key, as time does.
    pub(super) async fn expire(&mut self, name: &str) {
        let sql = format!(
            "{BEGIN}update {} set expires = clock_timestamp() where key = convert_to('{name}', 'UTF8')",
            table()
        );
        run(&mut self.connection, &sql).await;
    }
}
