//! [`RowEdit`]: the changes of one row.

use std::fmt;

use sqlx::error::BoxDynError;
use sqlx::{Arguments, Database, Encode, Type};

use super::table::VersionedTable;

/// A write to one row of a [`VersionedTable`]: its columns, and how they are written.
#[must_use = "an edit does nothing until it is written"]
pub struct RowEdit<DB: Database, K> {
    pub(super) table: VersionedTable<DB>,
    pub(super) key: K,
    pub(super) columns: Vec<(&'static str, Source)>,
    /// The values of the columns, in their order, until one could not be encoded.
    pub(super) values: Result<DB::Arguments, BoxDynError>,
}

/// Where the value of a column comes from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// The next one of the values.
    Value,
    /// An expression.
    Sql(&'static str),
}

impl<DB: Database, K> RowEdit<DB, K> {
    pub(super) fn new(table: VersionedTable<DB>, key: K) -> Self {
        Self { table, key, columns: Vec::new(), values: Ok(DB::Arguments::default()) }
    }

    /// Sets a column to a value.
    pub fn set<'q>(mut self, column: &'static str, value: impl Encode<'q, DB> + Type<DB>) -> Self {
        self.values = self.values.and_then(|mut values| values.add(value).map(|()| values));
        self.columns.push((column, Source::Value));
        self
    }

    /// Sets a column to an SQL expression, such as `views + 1`. In an update, the names of columns in it mean the row's
    /// values before the write. It is written into the statement as it is.
    pub fn set_sql(mut self, column: &'static str, expression: &'static str) -> Self {
        self.columns.push((column, Source::Sql(expression)));
        self
    }
}

impl<DB: Database, K> fmt::Debug for RowEdit<DB, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.columns.iter().map(|(column, _)| column);
        f.debug_struct("RowEdit")
            .field("table", &self.table)
            .field("columns", &columns.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
