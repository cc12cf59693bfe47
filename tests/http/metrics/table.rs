//! The tables of `src/docs/metrics.md`.

use std::collections::{BTreeMap, BTreeSet};

const ROOM: &str = include_str!("../../../src/docs/metrics.md");

/// A row of the table of names.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) unit: String,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) what: String,
}

impl Row {
    fn is_of_leases(&self) -> bool {
        self.name.starts_with("latchwork_lease_")
    }
}

/// The rows of the table under a heading, without its head.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let (_, section) = ROOM.split_once(&format!("\n# {heading}\n")).expect("the room has this section");
    let section = section.split("\n# ").next().expect("there is a first part");
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| {
        let inside = line.trim_matches('|').replace("\\|", "\u{0}");
        inside.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
    };
    let rows: Vec<_> = lines.map(cells).collect();
    assert!(!rows.is_empty(), "the table under {heading} is not found");
    rows
}

/// What stands between backticks.
fn codes(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of what lives in the process. Those of leases need a server, and are with the tests of databases.
pub(crate) fn names() -> Vec<Row> {
    all_names().into_iter().filter(|row| !row.is_of_leases()).collect()
}

pub(crate) fn lease_names() -> Vec<Row> {
    all_names().into_iter().filter(Row::is_of_leases).collect()
}

fn all_names() -> Vec<Row> {
    let row = |cells: Vec<String>| {
        let [name, kind, unit, labels, what] = cells.try_into().expect("five columns");
        Row { name: name.trim_matches('`').to_owned(), kind, unit, labels: codes(&labels), what }
    };
    rows("Names").into_iter().map(row).collect()
}

/// The values of labels that don't come from the program: by label, or by label and name where a label has
/// others in each.
pub(crate) fn fixed_values() -> BTreeMap<(String, Option<String>), BTreeSet<String>> {
    let named = |values: &str| values.starts_with("the name given to");
    let label = |cells: Vec<String>| {
        let [label, values] = cells.try_into().expect("two columns");
        let values = if named(&values) { BTreeSet::new() } else { codes(&values) };
        let mut words = label.split('`').skip(1).step_by(2).map(str::to_owned);
        ((words.next().expect("a label"), words.next()), values)
    };
    rows("Labels").into_iter().map(label).collect()
}

pub(crate) fn questions() -> Vec<String> {
    rows("What to ask").into_iter().map(|cells| cells[1].trim_matches('`').to_owned()).collect()
}
