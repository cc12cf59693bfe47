//! What is counted, shown and promised.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use latchwork::verdict::RetryKind;
use serde::Serialize;

use crate::audit::{Audit, Told};
use crate::compare::Figures;
use crate::way::Way;

/// What people met with.
pub(crate) struct Tally {
    ok: u64,
    server_errors: u64,
    requests: u64,
    pub(crate) registrations_500: u64,
    pub(crate) sold_out: u64,
    /// Requests whose client hung up.
    pub(crate) hung_up: u64,
    /// Microseconds until a purchase or a delivery was answered with 200.
    took: Histogram<u64>,
    /// By sweet.
    pub(crate) told: BTreeMap<i64, Told>,
    /// What a guarded service would not have done.
    pub(crate) broken: Vec<String>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            ok: 0,
            server_errors: 0,
            requests: 0,
            registrations_500: 0,
            sold_out: 0,
            hung_up: 0,
            took: Histogram::new_with_bounds(1, 60_000_000, 3).expect("up to a minute, 3 digits"),
            told: BTreeMap::new(),
            broken: Vec::new(),
        }
    }
}

impl Tally {
    pub(crate) fn count(&mut self, status: u16) {
        self.requests += 1;
        match status {
            200 | 201 => self.ok += 1,
            500.. => self.server_errors += 1,
            _ => {}
        }
    }

    /// Counts how long a change took that was answered with 200.
    pub(crate) fn took(&mut self, took: Duration) {
        self.took.saturating_record(took.as_micros() as u64);
    }

    pub(crate) fn add(&mut self, part: Self) {
        self.ok += part.ok;
        self.server_errors += part.server_errors;
        self.requests += part.requests;
        self.registrations_500 += part.registrations_500;
        self.sold_out += part.sold_out;
        self.hung_up += part.hung_up;
        self.took.add(&part.took).expect("their bounds are the same");
        for (sweet, told) in part.told {
            self.told.entry(sweet).or_default().add(told);
        }
        self.broken.extend(part.broken);
    }
}

/// One run: what people met with, what the database holds, and what the service says of itself.
pub(crate) struct Run {
    pub(crate) way: Way,
    pub(crate) tally: Tally,
    pub(crate) took: Duration,
    pub(crate) audit: Audit,
    pub(crate) figures: Figures,
}

/// Its names are those of the JSON output. The latencies are those of purchases and deliveries that were answered with 200.
#[derive(Serialize)]
struct Outcome {
    way: Way,
    requests: u64,
    ok: u64,
    sold_out: u64,
    hung_up: u64,
    oversold: i64,
    lost_restocks: i64,
    server_errors: u64,
    registrations_500: u64,
    overtaken_share: f64,
    overtaken_most: u64,
    conflicts: u64,
    lock_waits: u64,
    longest_wait_ms: f64,
    requests_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Run {
    fn outcome(&self) -> Outcome {
        let Self { way, tally, took, audit, figures } = self;
        let requests = tally.requests + tally.hung_up;
        let order = figures.order;
        Outcome {
            way: *way,
            requests,
            ok: tally.ok,
            sold_out: tally.sold_out,
            hung_up: tally.hung_up,
            oversold: audit.oversold,
            lost_restocks: audit.lost_restocks,
            server_errors: tally.server_errors,
            registrations_500: tally.registrations_500,
            overtaken_share: order.overtaken as f64 / order.served.max(1) as f64,
            overtaken_most: order.most,
            conflicts: figures.retries.errors(RetryKind::VersionConflict),
            lock_waits: figures.lock_waits,
            longest_wait_ms: figures.longest_wait.as_secs_f64() * 1000.0,
            requests_per_s: requests as f64 / took.as_secs_f64(),
            p50_ms: quantile_ms(&tally.took, 0.5),
            p99_ms: quantile_ms(&tally.took, 0.99),
        }
    }

    /// Returns the promises of a guarded way that this run broke.
    pub(crate) fn broken_promises(&self) -> Vec<String> {
        let Outcome { oversold, lost_restocks, server_errors, .. } = self.outcome();
        let Self { way, tally, audit, figures, .. } = self;
        let mut broken = Vec::new();
        let mut promise = |kept: bool, otherwise: String| {
            if !kept {
                broken.push(otherwise);
            }
        };
        promise(oversold == 0, format!("{oversold} pieces oversold"));
        promise(lost_restocks == 0, format!("{lost_restocks} restocks lost"));
        promise(server_errors == 0, format!("{server_errors} server errors"));
        promise(figures.keys_left == 0, format!("{} keys left in the table", figures.keys_left));
        promise(figures.open == 0, format!("{} transactions left open", figures.open));
        broken.extend_from_slice(&audit.broken);
        broken.extend_from_slice(&tally.broken);
        broken.into_iter().map(|promise| format!("{}: {promise}", way.name())).collect()
    }
}

/// Returns one JSON object: each way, and the recommended one under the name `guarded` as well.
pub(crate) fn json(runs: &[Run]) -> serde_json::Result<String> {
    let mut sides = BTreeMap::new();
    for run in runs {
        sides.insert(run.way.name(), run.outcome());
        if run.way == Way::RECOMMENDED {
            sides.insert("guarded", run.outcome());
        }
    }
    serde_json::to_string(&sides)
}

pub(crate) fn table(runs: &[Run]) -> Table {
    type Line = (&'static str, fn(&Outcome) -> String);
    let lines: [Line; 14] = [
        ("requests", |o| o.requests.to_string()),
        ("200 or 201", |o| o.ok.to_string()),
        ("sold out (400)", |o| o.sold_out.to_string()),
        ("oversold pieces", |o| o.oversold.to_string()),
        ("lost restocks", |o| o.lost_restocks.to_string()),
        ("server errors (5xx)", |o| o.server_errors.to_string()),
        ("registrations that met a 500", |o| o.registrations_500.to_string()),
        ("served out of turn", |o| match o.overtaken_most {
            0 => "0 (FIFO)".to_owned(),
            most => format!("{:.1} %, by {most}", 100.0 * o.overtaken_share),
        }),
        ("version conflicts", |o| o.conflicts.to_string()),
        ("lock waits of 1 ms and more", |o| o.lock_waits.to_string()),
        ("longest lock wait", |o| format!("{:.0} ms", o.longest_wait_ms)),
        ("requests/s", |o| format!("{:.0}", o.requests_per_s)),
        ("a change takes, p50", |o| format!("{:.1} ms", o.p50_ms)),
        ("a change takes, p99", |o| format!("{:.1} ms", o.p99_ms)),
    ];
    let outcomes: Vec<_> = runs.iter().map(Run::outcome).collect();
    let mut table = Table::new();
    let head = [""].into_iter().chain(runs.iter().map(|run| run.way.name()));
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(head);
    for (name, show) in lines {
        table.add_row([name.to_owned()].into_iter().chain(outcomes.iter().map(show)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

pub(crate) fn quantile_ms(micros: &Histogram<u64>, quantile: f64) -> f64 {
    micros.value_at_quantile(quantile) as f64 / 1000.0
}
