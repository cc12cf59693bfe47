//! What the scope predicted while it observed, beside what it did when it was enforced.

use comfy_table::{CellAlignment, Table, presets};
use latchwork::sql::{Ending, ScopeCounts};

/// Each number, and its share of all transactions.
pub(crate) fn table(counts: &ScopeCounts) -> Table {
    let observed: u64 = Ending::ALL.iter().map(|ending| counts.would_end(*ending)).sum();
    let enforced: u64 = Ending::ALL.iter().map(|ending| counts.ended(*ending)).sum();
    let share =
        |number: u64, all: u64| format!("{number} ({:.1} %)", 100.0 * number as f64 / all.max(1) as f64);
    let mut table = Table::new();
    let head = ["transactions that were", "observed: would have", "enforced: did"];
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(head);
    let mut line = |name: &str, would: u64, did: u64| {
        if would + did > 0 {
            table.add_row([name.to_owned(), share(would, observed), share(did, enforced)]);
        }
    };
    for ending in Ending::ALL {
        line(&ending.name().replace('_', " "), counts.would_end(*ending), counts.ended(*ending));
    }
    line("made again", counts.would_repeat, counts.repeated);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
