//! [`Table`]: the table of the leases.

use std::fmt;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgConnection, Postgres, Row};

use super::literal::{Bytes, from_hex, identifier, text};

/// What every message begins with. It and the statements after it are one transaction, as they are one message: an error
/// ends it, and no failed transaction stays open. So the defaults of the role do not matter: a stricter isolation would turn
/// a lost race into an error.
pub(super) const BEGIN: &str = "set transaction isolation level read committed, read write; ";

/// The time of the server, in microseconds since 1970. It makes fences rise after the row of a key was deleted.
pub(super) const MICROS: &str = "(extract(epoch from clock_timestamp()) * 1000000)::bigint";

/// Fences are microseconds, so this is a date in the far future. This one or a greater one, written by a hand, could not be raised.
const GREATEST: i64 = 9_000_000_000_000_000_000;

/// Taken while a table is created. `create table if not exists` fails if two transactions do it at the same time.
const CREATION: i64 = i64::from_be_bytes(*b"latchwrk");

/// How many rows a transaction of a purge deletes.
const PORTION: u64 = 1000;

/// The name of a schema or table is empty, too long for PostgreSQL, or has a zero byte.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{name:?} cannot be the name of a schema or table: names have 1 to {} bytes, and none of them is zero",
    Self::LIMIT
)]
pub struct BadName {
    name: String,
}

impl BadName {
    /// PostgreSQL cuts longer names.
    const LIMIT: usize = 63;

    fn check(name: &str) -> Result<&str, Self> {
        let is_good = (1..=Self::LIMIT).contains(&name.len()) && !name.contains('\0');
        if is_good { Ok(name) } else { Err(Self { name: name.to_owned() }) }
    }
}

/// The table of the leases, by its name.
///
/// - `fence` is the number of the latest grant of the key, and stays after the release.
/// - `holder` is the process that holds the key; null after a release.
/// - `expires` is when the lease ends by the server's clock; after a release, when that was.
/// - `wanted`: another process waits, so the release notifies.
///
/// A transaction that verifies a grant locks its row `for key share`. That blocks changes of columns that a unique index
/// has, and no others: so the index of key and fence keeps the fence, and lets renewals and the release through.
///
/// Not `unlogged`: PostgreSQL empties such tables after a crash, while holders go on.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    name: String,
    sql: String,
}

/// The name as SQL needs it.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)
    }
}

impl Table {
    /// Names the table. Without a schema the server finds it by its search path.
    pub(crate) fn new(schema: Option<&str>, name: &str) -> Result<Self, BadName> {
        let mut sql = String::new();
        if let Some(schema) = schema {
            sql = identifier(BadName::check(schema)?) + ".";
        }
        sql += &identifier(BadName::check(name)?);
        Ok(Self { name: name.to_owned(), sql })
    }

    /// Returns the channel of the releases. Tables of the same name in other schemas share it: their processes ask once
    /// too often then.
    pub(crate) fn channel(&self) -> &str {
        &self.name
    }

    /// Returns the statement that creates the table if there is none.
    ///
    /// Half of each page stays free for new versions of its rows, as all that is done to a row is to replace it.
    pub(crate) fn migration(&self) -> String {
        format!(
            "create table if not exists {self} (key bytea primary key, \
             fence bigint not null check (fence between 1 and {GREATEST}), holder bigint, \
             expires timestamptz not null, wanted boolean not null default false, unique (key, fence)) \
             with (fillfactor = 50);"
        )
    }

    /// Creates the table if there is none. A role that may not create tables can call it if the table is there.
    pub(crate) async fn create(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let look = format!("select to_regclass({}) is not null", text(&self.sql));
        let row = sqlx::raw_sql(AssertSqlSafe(look)).fetch_one(&mut *connection).await?;
        if row.try_get::<bool, _>(0)? {
            return Ok(());
        }
        let create = format!("{BEGIN}select pg_advisory_xact_lock({CREATION}); {}", self.migration());
        sqlx::raw_sql(AssertSqlSafe(create)).execute(connection).await?;
        Ok(())
    }

    /// Returns an error if the table is not there, or if the role may not read it.
    pub(super) async fn check<'c>(
        &self,
        connection: impl Executor<'c, Database = Postgres>,
    ) -> Result<(), sqlx::Error> {
        let look = format!("{BEGIN}select key, fence, holder, expires, wanted from {self} limit 0");
        sqlx::raw_sql(AssertSqlSafe(look)).execute(connection).await?;
        Ok(())
    }

    /// Deletes the rows of keys that nobody has held for this time, in small transactions. Returns their number.
    ///
    /// The next fence of such a key comes from the clock alone. So a row whose fence is ahead of the clock stays. And `idle`
    /// must be longer than any step back of the server's clock.
    pub(crate) async fn purge(
        &self,
        connection: &mut PgConnection,
        idle: Duration,
    ) -> Result<u64, sqlx::Error> {
        let idle = idle.as_micros();
        let (mut deleted, mut last) = (0, Vec::new());
        loop {
            let after = Bytes(&last);
            let sql = format!(
                "{BEGIN}with idle as (select key from {self} where key > {after} and fence < {MICROS} \
                 and expires < clock_timestamp() - {idle} * interval '1 microsecond' \
                 order by key limit {PORTION} for update skip locked), \
                 deleted as (delete from {self} l using idle where l.key = idle.key returning l.key) \
                 select count(*), encode((select key from deleted order by key desc limit 1), 'hex') from deleted"
            );
            let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
            let count = row.try_get::<i64, _>(0)?.unsigned_abs();
            deleted += count;
            let key = row.try_get::<Option<&str>, _>(1)?.and_then(from_hex);
            match key {
                Some(key) if count == PORTION => last = key,
                _ => return Ok(deleted),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn names_that_postgresql_would_cut_or_refuse_are_refused() {
        for name in ["", "a\0b", &"n".repeat(64)] {
            assert!(Table::new(None, name).is_err(), "{name:?}");
            assert!(Table::new(Some(name), "locks").is_err(), "{name:?}");
        }
        let table = Table::new(Some("my \"own\""), &"n".repeat(63)).expect("they are short enough");
        assert_eq!(table.to_string(), format!("\"my \"\"own\"\"\".\"{}\"", "n".repeat(63)));
    }
}
