//! What is counted, shown and promised.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::store::Audit;

/// What the users met with.
pub(crate) struct Tally {
    ok: u64,
    busy: u64,
    other: u64,
    /// Clicks whose client hung up; `other` has them too.
    hung_up: u64,
    /// How often there was more than one click at a time.
    pub(crate) crowds: u64,
    /// Microseconds until a 200 came.
    ok_took: Histogram<u64>,
    /// Microseconds until a 409 came.
    busy_took: Histogram<u64>,
    /// What a guarded service would not have done.
    pub(crate) broken: Vec<String>,
}

impl Default for Tally {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, 60_000_000, 3).expect("up to a minute, 3 digits");
        let (ok_took, busy_took) = (histogram.clone(), histogram);
        Self { ok: 0, busy: 0, other: 0, hung_up: 0, crowds: 0, ok_took, busy_took, broken: Vec::new() }
    }
}

impl Tally {
    pub(crate) fn count(&mut self, status: u16, took: Duration) {
        let took = took.as_micros() as u64;
        match status {
            200 => {
                self.ok += 1;
                self.ok_took.saturating_record(took);
            }
            409 => {
                self.busy += 1;
                self.busy_took.saturating_record(took);
            }
            _ => self.other += 1,
        }
    }

    pub(crate) fn count_hung_up(&mut self) {
        self.other += 1;
        self.hung_up += 1;
    }

    pub(crate) fn add(&mut self, part: &Self) {
        self.ok += part.ok;
        self.busy += part.busy;
        self.other += part.other;
        self.hung_up += part.hung_up;
        self.crowds += part.crowds;
        self.ok_took.add(&part.ok_took).expect("their bounds are the same");
        self.busy_took.add(&part.busy_took).expect("their bounds are the same");
        self.broken.extend_from_slice(&part.broken);
    }
}

/// One run: what the users met with, and what is left of it.
pub(crate) struct Run {
    pub(crate) tally: Tally,
    pub(crate) audit: Audit,
    /// Keys still held or waited for when the server had stopped.
    pub(crate) keys_left: usize,
}

#[derive(Serialize)]
pub(crate) struct Report {
    naive: Outcome,
    guarded: Outcome,
}

/// Its names are those of the JSON output; the latencies are those of the 200s.
#[derive(Serialize)]
struct Outcome {
    requests: u64,
    ok: u64,
    busy: u64,
    other: u64,
    duplicate_events: u64,
    corrupted_rotations: u64,
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
        let Self { tally, audit, .. } = self;
        Outcome {
            requests: tally.ok + tally.busy + tally.other,
            ok: tally.ok,
            busy: tally.busy,
            other: tally.other,
            duplicate_events: audit.duplicate_events,
            corrupted_rotations: audit.corrupted_rotations,
            p50_ms: quantile_ms(&tally.ok_took, 0.5),
            p99_ms: quantile_ms(&tally.ok_took, 0.99),
        }
    }

    /// The promises of a guarded service that this run broke.
    pub(crate) fn broken_promises(&self) -> Vec<String> {
        let Self { tally, audit, keys_left } = self;
        let mut broken = Vec::new();
        let mut promise = |kept: bool, otherwise: String| {
            if !kept {
                broken.push(otherwise);
            }
        };
        promise(audit.duplicate_events == 0, format!("{} duplicate events", audit.duplicate_events));
        promise(audit.corrupted_rotations == 0, format!("{} corrupted rotations", audit.corrupted_rotations));
        promise(*keys_left == 0, format!("{keys_left} keys left in the table"));
        promise(tally.crowds == 0 || tally.busy > 0, "not one second click was refused".into());
        // A plan may have been recorded just before its client hung up.
        let plans = tally.ok..=tally.ok + tally.hung_up;
        promise(plans.contains(&audit.plans), format!("{} plans recorded, {plans:?} were due", audit.plans));
        broken.extend_from_slice(&tally.broken);
        broken
    }
}

pub(crate) fn table(naive: &Run, guarded: &Run) -> Table {
    type Line = (&'static str, fn(&Run, Outcome) -> String);
    let lines: [Line; 9] = [
        ("requests", |_, o| o.requests.to_string()),
        ("200 ok", |_, o| o.ok.to_string()),
        ("409 busy", |_, o| o.busy.to_string()),
        ("other (failed, panicked, hung up)", |_, o| o.other.to_string()),
        ("duplicate events", |_, o| o.duplicate_events.to_string()),
        ("corrupted rotations", |_, o| o.corrupted_rotations.to_string()),
        ("a 200 takes, p50", |_, o| format!("{:.1} ms", o.p50_ms)),
        ("a 200 takes, p99", |_, o| format!("{:.1} ms", o.p99_ms)),
        ("a 409 takes, p99", |run, _| match run.tally.busy {
            0 => "-".into(),
            _ => format!("{:.1} ms", quantile_ms(&run.tally.busy_took, 0.99)),
        }),
    ];
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(["", "naive", "guarded"]);
    for (name, show) in lines {
        table.add_row([name.to_owned(), show(naive, naive.outcome()), show(guarded, guarded.outcome())]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn quantile_ms(micros: &Histogram<u64>, quantile: f64) -> f64 {
    micros.value_at_quantile(quantile) as f64 / 1000.0
}
