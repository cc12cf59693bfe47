//! The texts of a [`RowEdit`]'s statements. The values of its columns come first, in their order, and the key last.

use std::fmt::Write;

use sqlx::Database;

use super::edit::{RowEdit, Source};
use super::table::VersionedTable;
use crate::versioned::Expect;

impl<DB: Database, K> RowEdit<DB, K> {
    pub(super) fn update_sql(&self, expect: &Expect) -> String {
        let VersionedTable { name, key, version, .. } = self.table;
        let mut sql = format!("UPDATE {name} SET {version} = {version} + 1");
        let mut placeholders = Placeholders::default();
        for (column, source) in &self.columns {
            let value = placeholders.of(*source);
            write!(sql, ", {column} = {value}").expect(TAKES);
        }
        let own = placeholders.next();
        let admits = admits(expect, version);
        write!(sql, " WHERE {key} = {own} AND {admits} RETURNING {version}").expect(TAKES);
        sql
    }

    /// For expectations that allow that there is no row.
    pub(super) fn upsert_sql(&self, expect: &Expect) -> String {
        let VersionedTable { name, key, version, .. } = self.table;
        let (mut columns, mut values, mut changes) = (String::new(), String::new(), String::new());
        let mut placeholders = Placeholders::default();
        for (column, source) in &self.columns {
            write!(columns, "{column}, ").expect(TAKES);
            write!(values, "{}, ", placeholders.of(*source)).expect(TAKES);
            write!(changes, ", {column} = excluded.{column}").expect(TAKES);
        }
        let own = placeholders.next();
        let mut sql = format!(
            "INSERT INTO {name} ({columns}{key}, {version}) VALUES ({values}{own}, 1) ON CONFLICT ({key}) DO "
        );
        match expect {
            Expect::Absent => sql += "NOTHING",
            _ => {
                let there = format!("{name}.{version}");
                let admits = admits(expect, &there);
                write!(sql, "UPDATE SET {version} = {there} + 1{changes} WHERE {admits}").expect(TAKES);
            }
        }
        write!(sql, " RETURNING {version}").expect(TAKES);
        sql
    }

    pub(super) fn delete_sql(&self, expect: &Expect) -> String {
        let VersionedTable { name, key, version, .. } = self.table;
        format!("DELETE FROM {name} WHERE {key} = $1 AND {} RETURNING {version}", admits(expect, version))
    }

    pub(super) fn select_sql(&self) -> String {
        let VersionedTable { name, key, version, .. } = self.table;
        format!("SELECT {version} FROM {name} WHERE {key} = $1")
    }
}

const TAKES: &str = "a string takes what is written";

/// Numbers the values of a statement.
#[derive(Default)]
struct Placeholders(u32);

impl Placeholders {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("${}", self.0)
    }

    fn of(&mut self, source: Source) -> String {
        match source {
            Source::Value => self.next(),
            Source::Sql(expression) => format!("({expression})"),
        }
    }
}

/// Returns the condition under which a row that is there may be written. Stamps are numbers, so they can stand in it.
fn admits(expect: &Expect, version: &str) -> String {
    // No list may be empty in the standard. Nothing equals NULL, and no row has the version 0.
    let list = |first: &str, stamps: &[crate::Stamp]| {
        stamps.iter().fold(first.to_owned(), |list, stamp| format!("{list}, {stamp}"))
    };
    match expect {
        Expect::Any | Expect::Present => "1 = 1".to_owned(),
        Expect::Absent => "1 = 0".to_owned(),
        Expect::Exact(stamp) => format!("{version} = {stamp}"),
        Expect::OneOf(stamps) => format!("{version} IN ({})", list("NULL", stamps)),
        Expect::NoneOf(stamps) => format!("{version} NOT IN ({})", list("0", stamps)),
    }
}
