//! What is counted, shown and promised.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use latchwork::{retry::RetryCounts, verdict::RetryKind};
use serde::Serialize;

use crate::audit::{Audit, Ledger};

/// What people met with.
pub(crate) struct Tally {
    ok: u64,
    /// Edits that were refused since somebody else's had come first.
    pub(crate) refused_edits: u64,
    server_errors: u64,
    requests: u64,
    /// Requests whose client hung up.
    pub(crate) hung_up: u64,
    /// Microseconds until a 200 or 201 came.
    took: Histogram<u64>,
    /// By card, what each of them was told.
    pub(crate) ledgers: Vec<(i64, Ledger)>,
    /// What a guarded service would not have done.
    pub(crate) broken: Vec<String>,
}

impl Default for Tally {
    fn default() -> Self {
        let took = Histogram::new_with_bounds(1, 60_000_000, 3).expect("up to a minute, 3 digits");
        Self {
            ok: 0,
            refused_edits: 0,
            server_errors: 0,
            requests: 0,
            hung_up: 0,
            took,
            ledgers: Vec::new(),
            broken: Vec::new(),
        }
    }
}

impl Tally {
    pub(crate) fn count(&mut self, status: u16, took: Duration) {
        self.requests += 1;
        match status {
            200 | 201 => {
                self.ok += 1;
                self.took.saturating_record(took.as_micros() as u64);
            }
            500.. => self.server_errors += 1,
            _ => {}
        }
    }

    pub(crate) fn add(&mut self, part: Self) {
        self.ok += part.ok;
        self.refused_edits += part.refused_edits;
        self.server_errors += part.server_errors;
        self.requests += part.requests;
        self.hung_up += part.hung_up;
        self.took.add(&part.took).expect("their bounds are the same");
        self.ledgers.extend(part.ledgers);
        self.broken.extend(part.broken);
    }
}

/// One run: what people met with, what is left of it, and what the service says of its retries.
pub(crate) struct Run {
    pub(crate) tally: Tally,
    pub(crate) audit: Audit,
    pub(crate) counts: RetryCounts,
    pub(crate) slug_failures: u64,
    /// Keys still held or waited for when the server had stopped.
    pub(crate) keys_left: usize,
}

#[derive(Serialize)]
pub(crate) struct Report {
    naive: Outcome,
    guarded: Outcome,
}

/// Its names are those of the JSON output; the latencies are those of the 200s and 201s.
#[derive(Serialize)]
struct Outcome {
    requests: u64,
    ok: u64,
    refused_edits: u64,
    hung_up: u64,
    duplicate_slugs: u64,
    lost_updates: u64,
    server_errors: u64,
    slug_collisions: u64,
    slug_failures: u64,
    conflict_rate: f64,
    retry_success_rate: f64,
    mean_attempts: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Report {
    pub(crate) fn new(naive: &Run, guarded: &Run) -> Self {
        Self { naive: naive.outcome(), guarded: guarded.outcome() }
    }
}

impl Run {
    fn outcome(&self) -> Outcome {
        let Self { tally, audit, counts, slug_failures, keys_left: _ } = self;
        Outcome {
            requests: tally.requests + tally.hung_up,
            ok: tally.ok,
            refused_edits: tally.refused_edits,
            hung_up: tally.hung_up,
            duplicate_slugs: audit.duplicate_slugs,
            lost_updates: audit.lost_updates,
            server_errors: tally.server_errors,
            slug_collisions: counts.errors(RetryKind::UniqueViolation),
            slug_failures: *slug_failures,
            conflict_rate: counts.conflict_rate(),
            retry_success_rate: counts.retry_success_rate(),
            // Handlers without a policy try once.
            mean_attempts: if counts.calls() == 0 { 1.0 } else { counts.mean_attempts() },
            p50_ms: quantile_ms(&tally.took, 0.5),
            p99_ms: quantile_ms(&tally.took, 0.99),
        }
    }

    /// The promises of a guarded service that this run broke.
    pub(crate) fn broken_promises(&self) -> Vec<String> {
        let Outcome { duplicate_slugs, lost_updates, server_errors, slug_failures, .. } = self.outcome();
        let Self { tally, audit, counts, keys_left, .. } = self;
        let mut broken = Vec::new();
        let mut promise = |kept: bool, otherwise: String| {
            if !kept {
                broken.push(otherwise);
            }
        };
        promise(duplicate_slugs == 0, format!("{duplicate_slugs} duplicate slugs"));
        promise(lost_updates == 0, format!("{lost_updates} lost updates"));
        promise(server_errors == 0, format!("{server_errors} server errors"));
        promise(slug_failures == 0, format!("{slug_failures} names got no slug"));
        promise(*keys_left == 0, format!("{keys_left} keys left in the table"));
        promise(tally.refused_edits > 0, "not one stale edit was refused".into());
        promise(counts.retried_ok > 0, "no conflict was resolved by a retry".into());
        promise(counts.failed_after_retry == 0, format!("{} retries failed", counts.failed_after_retry));
        broken.extend_from_slice(&audit.broken);
        broken.extend_from_slice(&tally.broken);
        broken
    }
}

pub(crate) fn table(naive: &Run, guarded: &Run) -> Table {
    type Line = (&'static str, fn(&Outcome) -> String);
    let lines: [Line; 12] = [
        ("requests", |o| o.requests.to_string()),
        ("200 or 201", |o| o.ok.to_string()),
        ("stale edits refused (409, 412)", |o| o.refused_edits.to_string()),
        ("duplicate slugs", |o| o.duplicate_slugs.to_string()),
        ("lost updates", |o| o.lost_updates.to_string()),
        ("server errors (5xx)", |o| o.server_errors.to_string()),
        ("suffixes drawn again", |o| o.slug_collisions.to_string()),
        ("conflict rate", |o| percent(o.conflict_rate)),
        ("retry success rate", |o| percent(o.retry_success_rate)),
        ("attempts a write, mean", |o| format!("{:.2}", o.mean_attempts)),
        ("an answer takes, p50", |o| format!("{:.1} ms", o.p50_ms)),
        ("an answer takes, p99", |o| format!("{:.1} ms", o.p99_ms)),
    ];
    let (naive, guarded) = (naive.outcome(), guarded.outcome());
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(["", "naive", "guarded"]);
    for (name, show) in lines {
        table.add_row([name.to_owned(), show(&naive), show(&guarded)]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn quantile_ms(micros: &Histogram<u64>, quantile: f64) -> f64 {
    micros.value_at_quantile(quantile) as f64 / 1000.0
}
