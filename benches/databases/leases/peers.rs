//! The locks over several processes that are compared, each acquired and released in the same loop.

use std::time::Instant;

use latchwork::pg::PgKeyedLock;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgPool, Postgres, query};

use super::database::builder;
use super::redis::Redis;
use crate::harness::per_op;

/// A lock of PostgreSQL.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Lease,
    Session,
    Transaction,
    ForUpdate,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Lease, Self::Session, Self::Transaction, Self::ForUpdate];
    pub(super) const OTHERS: [Self; 3] = [Self::Session, Self::Transaction, Self::ForUpdate];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lease => "latchwork",
            Self::Session => "session advisory lock",
            Self::Transaction => "pg_advisory_xact_lock",
            Self::ForUpdate => "for update",
        }
    }

    /// How many times its time a lease may take, in one process.
    pub(super) fn goal(self) -> Option<f64> {
        match self {
            Self::Session => Some(4.0),
            Self::ForUpdate => Some(2.0),
            Self::Lease | Self::Transaction => None,
        }
    }
}

/// A lock, with its connection. The locks of PostgreSQL hold theirs from turn to turn, so that none of them pays for a pool,
/// which pings a connection that it hands out or gets back.
pub(super) enum Peer {
    Lease(PgKeyedLock<i64>),
    Session(PoolConnection<Postgres>),
    InTransaction(PoolConnection<Postgres>, &'static str),
    Redis(Redis),
}

impl Peer {
    pub(super) async fn connect(kind: Kind, pool: &PgPool) -> Self {
        let session = async || pool.acquire().await.expect("one is free");
        match kind {
            Kind::Lease => Self::Lease(builder(pool).connect().await.expect("the table is there")),
            Kind::Session => Self::Session(session().await),
            Kind::Transaction => Self::InTransaction(session().await, "select pg_advisory_xact_lock($1)"),
            Kind::ForUpdate => {
                let sql = "select id from latchwork_bench_rows where id = $1 for update";
                Self::InTransaction(session().await, sql)
            }
        }
    }

    /// Acquires and releases a key, one time after the other. Returns the time of one turn.
    pub(super) async fn turns(&mut self, key: i64, turns: u64) -> f64 {
        let start = Instant::now();
        for _ in 0..turns {
            self.turn(key).await;
        }
        per_op(start.elapsed(), turns)
    }

    async fn turn(&mut self, key: i64) {
        match self {
            Self::Lease(locks) => {
                let held = locks.lock_owned(key).await.expect("the server answers");
                held.release().await.expect("it was held to its end");
            }
            Self::Session(session) => {
                for sql in ["select pg_advisory_lock($1)", "select pg_advisory_unlock($1)"] {
                    query(sql).bind(key).execute(&mut **session).await.expect("the server answers");
                }
            }
            Self::InTransaction(session, lock) => {
                let mut tx = session.begin().await.expect("the server answers");
                query(*lock).bind(key).execute(&mut *tx).await.expect("the server answers");
                tx.commit().await.expect("nothing stands against it");
            }
            Self::Redis(redis) => redis.turn(key).await,
        }
    }
}
