//! [`Tx::lock`]: a lock by key until the transaction ends.

use std::fmt::Write;

use sqlx::{AssertSqlSafe, Database, Executor};

use super::engine::Engine;
use super::tx::Tx;

impl<DB: Database> Tx<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    /// Waits until no other transaction holds this key, and holds it until the transaction ends. It needs no table and no
    /// row, so it also guards rows that do not exist yet.
    ///
    /// On PostgreSQL it is an advisory lock. The key and the `space` are hashed to 64 bits: two keys may share a lock, which
    /// costs a wait and no more. On SQLite a transaction that is [immediate](super::Scope::immediate) excludes all other
    /// writers, so there it does nothing.
    ///
    /// In the modes [`Off`](crate::mode::Mode::Off) and [`Observe`](crate::mode::Mode::Observe) there is no transaction, so
    /// the lock is released at once.
    ///
    /// With [`RepeatableRead`](super::Isolation::RepeatableRead) or stricter the transaction reads what was stored when
    /// its first statement ran. If that is this lock, a change that was made during the wait is not seen. Use
    /// [`ReadCommitted`](super::Isolation::ReadCommitted), which is PostgreSQL's default.
    ///
    /// # Errors
    ///
    /// Returns the database's error, such as 55P03 after the scope's [`lock_timeout`](super::Scope::lock_timeout). Returns
    /// [`sqlx::Error::InvalidArgument`] on databases that have no such lock: MySQL, and SQLite if the transaction is not
    /// immediate.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the statement goes on on the server. Drop the transaction as well.
    ///
    /// # Deadlock
    ///
    /// Two transactions that take two keys in different orders wait for each other. PostgreSQL ends one of them with
    /// 40P01, which is worth a retry.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn register(scope: &latchwork::sql::Scope<sqlx::Sqlite>, name: &str) -> Result<(), sqlx::Error> {
    /// let mut tx = scope.begin().await?;
    /// tx.lock("user names", name).await?;
    /// // No other transaction that takes this lock reads or writes the name now.
    /// tx.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn lock(&mut self, space: &str, key: impl AsRef<[u8]> + Send) -> Result<(), sqlx::Error> {
        match Engine::of::<DB>() {
            Engine::Postgres => {
                let sql = advisory_lock(space, key.as_ref());
                // As text: through a pooler in transaction mode, prepared statements may fail.
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **self).await?;
                Ok(())
            }
            Engine::Sqlite if self.is_immediate() => Ok(()),
            Engine::Sqlite => Err(unsupported("on SQLite a lock by key needs an immediate transaction")),
            Engine::MySql | Engine::Other => {
                Err(unsupported("this database has no lock by key that ends with the transaction"))
            }
        }
    }
}

fn unsupported(why: &str) -> sqlx::Error {
    sqlx::Error::InvalidArgument(why.to_owned())
}

/// Returns the statement that locks a key. Space and key are in it as hexadecimal digits, so no text can end the literal.
/// The server hashes them, from version 11 on with the same result for ever: `hashtextextended` is what hash partitions are stored
/// by.
fn advisory_lock(space: &str, key: &[u8]) -> String {
    let mut sql = "select pg_advisory_xact_lock(hashtextextended('".to_owned();
    hex(&mut sql, space.as_bytes());
    // No digit: otherwise a longer space could make the same text with a shorter key.
    sql.push(':');
    hex(&mut sql, key);
    sql += "', 0))";
    sql
}

fn hex(sql: &mut String, bytes: &[u8]) {
    for byte in bytes {
        write!(sql, "{byte:02x}").expect("a string takes what is written");
    }
}

#[cfg(test)]
mod tests {
    use super::advisory_lock;

    #[test]
    fn no_key_leaves_its_literal() {
        let sql = advisory_lock("users", "ada'), pg_sleep(1".as_bytes());
        let digits = sql
            .strip_prefix("select pg_advisory_xact_lock(hashtextextended('")
            .and_then(|rest| rest.strip_suffix("', 0))"))
            .expect("it is one literal");
        assert!(digits.chars().all(|c| c.is_ascii_hexdigit() || c == ':'), "{digits}");
        assert_ne!(advisory_lock("ab", b"c"), advisory_lock("a", b"bc"));
    }
}
