//! What a [`RowEdit`] does to its row.

use sqlx::{
    Arguments, AssertSqlSafe, ColumnIndex, Database, Decode, Encode, Error, Executor, IntoArguments, Type,
    query_scalar_with,
};

use super::edit::RowEdit;
use super::error::{RowConflict, RowError};
use crate::sql::engine::Engine;
use crate::stamp::Stamp;
use crate::versioned::{Expect, Upserted};

// Each write is one statement, which returns the new version. If it has written nothing, a second statement finds the
// version that stood against it. A single statement could only find the version that its own snapshot shows, which may be
// the expected one.
impl<DB, K> RowEdit<DB, K>
where
    DB: Database,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    K: for<'q> Encode<'q, DB> + Type<DB> + Send + Sync,
    i64: for<'r> Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
{
    /// Changes the row if it has the expected version, and adds 1 to the version. Returns the new version.
    ///
    /// # Errors
    ///
    /// Returns [`RowError::Conflict`] if the row has another version, or if there is no row. Returns
    /// [`RowError::Database`] if the database fails.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the row may be changed, unless a transaction around it is rolled back.
    pub async fn update(self, expect: impl Into<Expect>, db: &mut DB::Connection) -> Result<Stamp, RowError> {
        let expect = expect.into();
        let sql = self.update_sql(&expect);
        let (key, written) = self.write(sql, db).await?;
        match written {
            Some(stamp) => Ok(stamp),
            None => Err(key.conflict(expect, db).await?.into()),
        }
    }

    /// Inserts the row. Returns its version, which is 1.
    ///
    /// # Errors
    ///
    /// Returns [`RowError::Conflict`] if there is a row with this key. A violation of another unique index is a
    /// [`RowError::Database`].
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the row may be inserted, unless a transaction around it is rolled back.
    pub async fn insert(self, db: &mut DB::Connection) -> Result<Stamp, RowError> {
        self.upsert(Expect::Absent, db).await.map(|written| written.stamp)
    }

    /// Inserts the row, or changes it, as far as the expectation allows. Expressions of [`set_sql`](Self::set_sql) must
    /// not name columns here, as there may be no row yet.
    ///
    /// # Errors
    ///
    /// Returns [`RowError::Conflict`] if the row is there and should not be, or has another version than expected, or is
    /// missing. Returns [`RowError::Database`] if the database fails.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the row may be written, unless a transaction around it is rolled back.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{sql::VersionedTable, versioned::Expect};
    /// use sqlx::{Connection, Sqlite, SqliteConnection, query};
    ///
    /// const PROFILES: VersionedTable<Sqlite> = VersionedTable::new("profiles", "user_id", "version");
    ///
    /// # latchwork::__example!(in real time, async {
    /// let mut db = SqliteConnection::connect("sqlite::memory:").await?;
    /// let sql = "create table profiles (user_id integer primary key, version bigint not null, motto text)";
    /// query(sql).execute(&mut db).await?;
    /// for (expect, is_new) in [(Expect::Any, true), (Expect::Present, false)] {
    ///     let put = PROFILES.row(7).set("motto", "be brief").upsert(expect, &mut db).await?;
    ///     assert_eq!((put.created, put.stamp.get()), (is_new, if is_new { 1 } else { 2 }));
    /// }
    /// # });
    /// ```
    pub async fn upsert(
        self,
        expect: impl Into<Expect>,
        db: &mut DB::Connection,
    ) -> Result<Upserted, RowError> {
        let expect = expect.into();
        if !expect.admits(None) {
            let stamp = self.update(expect, db).await?;
            return Ok(Upserted { stamp, created: false });
        }
        let sql = self.upsert_sql(&expect);
        let (key, written) = self.write(sql, db).await?;
        match written {
            // A changed row has had a version before, so its own is greater.
            Some(stamp) => Ok(Upserted { stamp, created: stamp == Stamp::MIN }),
            None => Err(key.conflict(expect, db).await?.into()),
        }
    }

    /// Deletes the row if it has the expected version. Returns that version, or `None` if there was no row and the
    /// expectation allows that.
    ///
    /// # Errors
    ///
    /// Returns [`RowError::Conflict`] if the row has another version, or is missing. Returns [`RowError::Database`] if the
    /// database fails.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the row may be deleted, unless a transaction around it is rolled back.
    pub async fn delete(
        self,
        expect: impl Into<Expect>,
        db: &mut DB::Connection,
    ) -> Result<Option<Stamp>, RowError> {
        let expect = expect.into();
        let sql = self.delete_sql(&expect);
        // It has no columns, so their values must not be sent.
        let row = self.table.row(self.key);
        let (key, written) = row.write(sql, db).await?;
        if written.is_some() {
            return Ok(written);
        }
        let conflict = key.conflict(expect, db).await?;
        if conflict.current.is_none() && conflict.expected.admits(None) {
            Ok(None)
        } else {
            Err(conflict.into())
        }
    }

    /// Returns the version of the row, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// Returns the error of the database.
    ///
    /// # Cancel safety
    ///
    /// It only reads.
    pub async fn stamp(&self, db: &mut DB::Connection) -> Result<Option<Stamp>, Error> {
        check_database::<DB>()?;
        let mut key = DB::Arguments::default();
        key.add(&self.key).map_err(Error::Encode)?;
        let sql = self.select_sql();
        query_scalar_with(AssertSqlSafe(sql), key).fetch_optional(db).await
    }

    /// Sends the statement, with the values of the columns and the key behind them. Returns the new version, and the key
    /// for another statement.
    async fn write(self, sql: String, db: &mut DB::Connection) -> Result<(Self, Option<Stamp>), Error> {
        check_database::<DB>()?;
        let mut values = self.values.map_err(Error::Encode)?;
        values.add(&self.key).map_err(Error::Encode)?;
        // All rows, though there is one at most: SQLite commits a statement by itself when its last row has been read, and may
        // fail then.
        let written = query_scalar_with(AssertSqlSafe(sql), values).fetch_all(db).await?;
        Ok((self.table.row(self.key), written.into_iter().next()))
    }

    async fn conflict(&self, expected: Expect, db: &mut DB::Connection) -> Result<RowConflict, Error> {
        Ok(RowConflict { expected, current: self.stamp(db).await? })
    }
}

/// Refuses a database whose statements can't do it.
fn check_database<DB: Database>() -> Result<(), Error> {
    if Engine::of::<DB>() == Engine::MySql {
        return Err(Error::InvalidArgument("MySQL can't return what an update has written".to_owned()));
    }
    Ok(())
}
