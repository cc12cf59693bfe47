//! The statements of a [`RowEdit`]: their texts, and the order of what is bound to them.
//!
//! First come the values of the columns, then the key, and last the stamps of the expectation. No stamp stands in a text, so
//! an edit has one text for all versions of a row. Drivers keep prepared statements by their text, and would keep one for
//! each version otherwise.

use std::fmt::Write;

use sqlx::Database;

use super::edit::{RowEdit, Source};
use super::table::VersionedTable;
use crate::stamp::Stamp;
use crate::versioned::Expect;

impl<DB: Database, K> RowEdit<DB, K> {
    pub(super) fn update_sql(&self, expect: &Expect, returning: &str) -> String {
        let VersionedTable { name, key, version, .. } = self.table;
        let mut sql = format!("UPDATE {name} SET {version} = {version} + 1");
        let mut placeholders = Placeholders::default();
        for (column, source) in &self.columns {
            let value = placeholders.of(*source);
            write!(sql, ", {column} = {value}").expect(TAKES);
        }
        let own = placeholders.next();
        let admits = placeholders.admits(expect, version);
        write!(sql, " WHERE {key} = {own} AND {admits} RETURNING {returning}").expect(TAKES);
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
                let admits = placeholders.admits(expect, &there);
                // Only a new row gets the version 1. That tells an insert from a change on every database.
                let next = format!("CASE WHEN {there} < 1 THEN 2 ELSE {there} + 1 END");
                write!(sql, "UPDATE SET {version} = {next}{changes} WHERE {admits}").expect(TAKES);
            }
        }
        write!(sql, " RETURNING {version}").expect(TAKES);
        sql
    }

    pub(super) fn delete_sql(&self, expect: &Expect) -> String {
        let VersionedTable { name, key, version, .. } = self.table;
        let mut placeholders = Placeholders::default();
        let own = placeholders.next();
        let admits = placeholders.admits(expect, version);
        format!("DELETE FROM {name} WHERE {key} = {own} AND {admits} RETURNING {version}")
    }

    pub(super) fn select_sql(&self) -> String {
        let VersionedTable { name, key, version, .. } = self.table;
        format!("SELECT {version} FROM {name} WHERE {key} = $1")
    }
}

/// Returns the stamps that are bound to a statement, in their order.
pub(super) fn bound_stamps(expect: &Expect) -> impl Iterator<Item = Stamp> {
    let stamps = match expect {
        Expect::Any | Expect::Present | Expect::Absent => &[],
        Expect::Exact(stamp) => std::slice::from_ref(stamp),
        Expect::OneOf(stamps) | Expect::NoneOf(stamps) => stamps,
    };
    let last = stamps.last().copied().into_iter().cycle();
    stamps.iter().copied().chain(last).take(places(stamps.len()))
}

/// Returns how many places a text has for this many stamps. The last stamp fills those that are left.
///
/// Clients choose the length of a list, with `If-Match`. So lists have a text for each power of two only, and can't crowd
/// all other statements out of a connection.
fn places(stamps: usize) -> usize {
    if stamps == 0 { 0 } else { stamps.next_power_of_two() }
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

    /// Returns the condition under which an existing row may be written.
    fn admits(&mut self, expect: &Expect, version: &str) -> String {
        match expect {
            Expect::Any | Expect::Present => "1 = 1".to_owned(),
            Expect::Absent => "1 = 0".to_owned(),
            Expect::Exact(_) => format!("{version} = {}", self.next()),
            // The standard has no empty lists.
            Expect::OneOf(stamps) if stamps.is_empty() => "1 = 0".to_owned(),
            Expect::NoneOf(stamps) if stamps.is_empty() => "1 = 1".to_owned(),
            Expect::OneOf(stamps) => format!("{version} IN ({})", self.list(stamps.len())),
            Expect::NoneOf(stamps) => format!("{version} NOT IN ({})", self.list(stamps.len())),
        }
    }

    fn list(&mut self, stamps: usize) -> String {
        (0..places(stamps)).map(|_| self.next()).collect::<Vec<_>>().join(", ")
    }
}
