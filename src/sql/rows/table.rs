//! [`VersionedTable`]: the names of a table whose rows have versions.

use std::fmt;
use std::marker::PhantomData;

use sqlx::Database;

use super::edit::RowEdit;

/// A table in which each row has a version: a number that starts at 1 and grows with each write.
///
/// A write names the version that it was made from, as an [`Expect`](crate::versioned::Expect). If the row has another
/// one, nothing is written, and the error has the version that is there now. So an edit from a stale page can't overwrite
/// a newer one, and no lock is held while a user thinks.
///
/// The version's column is an integer of 64 bits, and never below 1. The key is one column with a unique index. If a
/// row has a version below 1, an upsert that changes it gives it the version 2.
///
/// # What it does not promise
///
/// - **The current version in an older snapshot.** With [`RepeatableRead`](crate::sql::Isolation::RepeatableRead) or stricter, a
///   conflict has the version that the transaction sees.
/// - **The version that stood against the write.** A second statement finds the current version, and the row may change
///   before it. If the version that is found fits the expectation, the write is sent again, three times in all. A refused
///   write has written nothing. A conflict has a version that fits only if the row has changed each time.
/// - **Writes around it.** Each other statement that changes a row must add 1 to its version.
/// - **Keys that come back.** A row that is deleted and inserted again starts at 1 again. An old page may match it. Use keys
///   that are never used twice, or mark rows as deleted.
/// - **MySQL and MariaDB.** They can't return the version that an update has written. Calls return
///   [`sqlx::Error::InvalidArgument`].
///
/// # Examples
///
/// ```
/// use latchwork::{Stamp, sql::{RowError, VersionedTable}, versioned::Expect};
/// use sqlx::{Connection, Sqlite, SqliteConnection, query};
///
/// static CARDS: VersionedTable<Sqlite> = VersionedTable::new("cards", "id", "version");
///
/// # latchwork::__example!(in real time, async {
/// let mut db = SqliteConnection::connect("sqlite::memory:").await?;
/// let sql = "create table cards (id text primary key, version bigint not null, name text, views int default 0)";
/// query(sql).execute(&mut db).await?;
///
/// let first = CARDS.row("ada").set("name", "Ada").insert(&mut db).await?;
/// let edit = CARDS.row("ada").set("name", "Ada Lovelace").set_sql("views", "views + 1");
/// let second = edit.update(first, &mut db).await?;
/// assert_eq!((first.get(), second.get()), (1, 2));
///
/// let stale = CARDS.row("ada").set("name", "Ada Byron").update(first, &mut db).await;
/// assert!(matches!(stale, Err(RowError::Conflict(conflict)) if conflict.current == Some(second)));
/// assert_eq!(CARDS.row("ada").delete(Expect::Present, &mut db).await?, Some(second));
/// # });
/// ```
pub struct VersionedTable<DB> {
    pub(super) name: &'static str,
    pub(super) key: &'static str,
    pub(super) version: &'static str,
    of: PhantomData<fn() -> DB>,
}

impl<DB> VersionedTable<DB> {
    /// Creates the description of a table: its name, and the names of the columns of the key and of the version. They are
    /// written into statements as they are. Quote them if the database wants that.
    #[must_use]
    pub const fn new(name: &'static str, key: &'static str, version: &'static str) -> Self {
        Self { name, key, version, of: PhantomData }
    }

    /// Begins to describe a write to the row with this key.
    pub fn row<K>(&self, key: K) -> RowEdit<DB, K>
    where
        DB: Database,
    {
        RowEdit::new(*self, key)
    }
}

impl<DB> Clone for VersionedTable<DB> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<DB> Copy for VersionedTable<DB> {}

impl<DB> fmt::Debug for VersionedTable<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, key, version, .. } = self;
        f.debug_struct("VersionedTable")
            .field("name", name)
            .field("key", key)
            .field("version", version)
            .finish()
    }
}
