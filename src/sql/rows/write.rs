//! What a [`RowEdit`] does to its row.

use sqlx::{
    Arguments, AssertSqlSafe, ColumnIndex, Database, Decode, Encode, Error, Executor, FromRow, IntoArguments,
    Type, query_as_with, query_scalar_with,
};

use super::edit::RowEdit;
use super::error::{RowConflict, RowError};
use super::statement::bound_stamps;
use crate::sql::engine::Engine;
use crate::stamp::Stamp;
use crate::versioned::{Expect, Upserted};

/// How often a write is sent at most.
const TRIES: u32 = 3;

// Each write is one statement, which returns the new version. If it has written nothing, a second statement finds the
// version that stood against it. A single statement could only find the version that its own snapshot shows, which may be
// the expected one.
//
// The row may change between the two, to a version that the expectation admits. A conflict with that version would mean
// nothing to the caller. The refused write has written nothing, so it is sent again.
impl<DB, K> RowEdit<DB, K>
where
    DB: Database,
    DB::Arguments: IntoArguments<DB> + Clone,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    K: for<'q> Encode<'q, DB> + Type<DB> + Send + Sync,
    i64: for<'q> Encode<'q, DB> + for<'r> Decode<'r, DB> + Type<DB>,
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
        let version = self.table.version;
        self.update_returning(version, expect, db).await.map(|(stamp,)| stamp)
    }

    /// Changes the row as [`update`](Self::update) does. Returns columns of the changed row, as `query_as` of sqlx does.
    ///
    /// `columns` stands behind `RETURNING`: names of columns or expressions, with commas between them. It is written into
    /// the statement as it is. Name the version's column to get the new version.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`update`](Self::update). Returns [`RowError::Database`] if the columns do not
    /// fit the type. The row is changed then, unless a transaction around it is rolled back.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the row may be changed, unless a transaction around it is rolled back.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, sql::VersionedTable};
    /// use sqlx::{Connection, Sqlite, SqliteConnection, query};
    ///
    /// const SWEETS: VersionedTable<Sqlite> = VersionedTable::new("sweets", "id", "version");
    ///
    /// # latchwork::__example!(in real time, async {
    /// let mut db = SqliteConnection::connect("sqlite::memory:").await?;
    /// query("create table sweets (id integer primary key, version bigint not null, stock bigint)").execute(&mut db).await?;
    /// let first = SWEETS.row(7).set("stock", 3).insert(&mut db).await?;
    /// let sale = SWEETS.row(7).set_sql("stock", "stock - 1");
    /// let (second, left): (Stamp, i64) = sale.update_returning("version, stock", first, &mut db).await?;
    /// assert_eq!((second.get(), left), (2, 2));
    /// # });
    /// ```
    pub async fn update_returning<O>(
        self,
        columns: &'static str,
        expect: impl Into<Expect>,
        db: &mut DB::Connection,
    ) -> Result<O, RowError>
    where
        O: for<'r> FromRow<'r, DB::Row> + Send + Unpin,
    {
        let expect = expect.into();
        let sql = self.update_sql(&expect, columns);
        match self.write(sql, &expect, false, db).await? {
            Ok(written) => Ok(written),
            Err(current) => Err(RowConflict { expected: expect, current }.into()),
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

    /// Inserts the row, or changes it, as far as the expectation allows. Returns its version, and whether it is new.
    ///
    /// Expressions of [`set_sql`](Self::set_sql) must not name columns here, as there may be no row yet.
    ///
    /// # Errors
    ///
    /// Returns [`RowError::Conflict`] if the row has another version than expected, or is missing, or exists although no row
    /// was expected. Returns [`RowError::Database`] if the database fails.
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
        match self.write(sql, &expect, true, db).await? {
            Ok((stamp,)) => Ok(Upserted { stamp, created: stamp == Stamp::MIN }),
            Err(current) => Err(RowConflict { expected: expect, current }.into()),
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
        match row.write(sql, &expect, false, db).await? {
            Ok((stamp,)) => Ok(Some(stamp)),
            Err(None) if expect.admits(None) => Ok(None),
            Err(current) => Err(RowConflict { expected: expect, current }.into()),
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

    /// Sends the statement, which can insert the row if `inserts`. Returns what it has returned of the row, or the version
    /// that stands against it.
    async fn write<O>(
        self,
        sql: String,
        expect: &Expect,
        inserts: bool,
        db: &mut DB::Connection,
    ) -> Result<Result<O, Option<Stamp>>, Error>
    where
        O: for<'r> FromRow<'r, DB::Row> + Send + Unpin,
    {
        check_database::<DB>()?;
        let key = self.table.row(self.key);
        let mut values = self.values.map_err(Error::Encode)?;
        values.add(&key.key).map_err(Error::Encode)?;
        for stamp in bound_stamps(expect) {
            values.add(stamp).map_err(Error::Encode)?;
        }
        let mut tries = 1;
        loop {
            let write = query_as_with(AssertSqlSafe(sql.clone()), values.clone());
            // All rows, though there is one at most: SQLite commits a statement by itself when its last row has been read,
            // and may fail then.
            if let Some(written) = write.fetch_all(&mut *db).await?.into_iter().next() {
                return Ok(Ok(written));
            }
            let current = key.stamp(db).await?;
            let fits = expect.admits(current) && (inserts || current.is_some());
            if !fits || tries == TRIES {
                return Ok(Err(current));
            }
            tries += 1;
        }
    }
}

/// Refuses a database whose statements can't do it.
fn check_database<DB: Database>() -> Result<(), Error> {
    if Engine::of::<DB>() == Engine::MySql {
        return Err(Error::InvalidArgument("MySQL can't return what an update has written".to_owned()));
    }
    Ok(())
}
