//! What is counted, shown and promised.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::locks::Side;
use super::team::Tally;
use crate::audit::Audit;
use crate::report::quantile_ms;

pub(crate) struct Run {
    pub(crate) side: Side,
    pub(crate) tally: Tally,
    pub(crate) took: Duration,
    /// How long after the kill another process had sold the sweet.
    pub(crate) taken_over: Duration,
    /// Whether the write of the stopped worker was refused.
    pub(crate) is_refused: bool,
    pub(crate) audit: Audit,
}

/// Its names are those of the JSON output.
#[derive(Serialize)]
struct Outcome {
    purchases: u64,
    sold_out: u64,
    restocks: u64,
    oversold: i64,
    lost_restocks: i64,
    /// The write of the worker that was stopped while others sold.
    stored_late_writes: u64,
    /// That write, and those of a worker that the machine did not run for longer than a lease.
    refused_late_writes: u64,
    taken_over_after_kill: u64,
    taken_over_after_ms: Option<f64>,
    purchases_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Without those of the worker that was killed.
    grants: u64,
    batches: u64,
}

impl Run {
    fn outcome(&self) -> Outcome {
        let Self { side, tally, took, taken_over, is_refused, audit } = self;
        // Without leases the killed worker kept nobody away, so nobody had to take over.
        let has_leases = *side == Side::Guarded;
        Outcome {
            purchases: tally.purchases,
            sold_out: tally.sold_out,
            restocks: tally.deliveries,
            oversold: audit.oversold,
            lost_restocks: audit.lost_restocks,
            stored_late_writes: u64::from(!is_refused),
            refused_late_writes: tally.refused,
            taken_over_after_kill: u64::from(has_leases),
            taken_over_after_ms: has_leases.then_some(taken_over.as_secs_f64() * 1000.0),
            purchases_per_s: tally.purchases as f64 / took.as_secs_f64(),
            p50_ms: quantile_ms(&tally.took, 0.5),
            p99_ms: quantile_ms(&tally.took, 0.99),
            grants: tally.grants,
            batches: tally.batches,
        }
    }

    /// Returns the promises of the guarded side that this run broke.
    pub(crate) fn broken_promises(&self) -> Vec<String> {
        let Outcome { oversold, lost_restocks, .. } = self.outcome();
        let mut broken = self.audit.broken.clone();
        broken.extend_from_slice(&self.tally.failures);
        let mut promise = |kept: bool, otherwise: String| {
            if !kept {
                broken.push(otherwise);
            }
        };
        promise(oversold == 0, format!("{oversold} pieces oversold"));
        promise(lost_restocks == 0, format!("{lost_restocks} restocks lost"));
        promise(self.is_refused, "the write of the worker that stood still was stored".to_owned());
        broken
    }
}

pub(crate) fn json(naive: &Run, guarded: &Run) -> serde_json::Result<String> {
    let sides = [naive, guarded].map(|run| (run.side.name(), run.outcome()));
    serde_json::to_string(&BTreeMap::from(sides))
}

pub(crate) fn table(naive: &Run, guarded: &Run) -> Table {
    type Line = (&'static str, fn(&Outcome) -> String);
    let lines: [Line; 13] = [
        ("purchases", |o| o.purchases.to_string()),
        ("sold out", |o| o.sold_out.to_string()),
        ("restocks", |o| o.restocks.to_string()),
        ("oversold pieces", |o| o.oversold.to_string()),
        ("lost restocks", |o| o.lost_restocks.to_string()),
        ("late writes stored", |o| o.stored_late_writes.to_string()),
        ("late writes refused", |o| o.refused_late_writes.to_string()),
        ("taken over after a kill", |o| match o.taken_over_after_ms {
            None => "-".to_owned(),
            Some(ms) => format!("after {:.1} s", ms / 1000.0),
        }),
        ("purchases/s", |o| format!("{:.0}", o.purchases_per_s)),
        ("a change takes, p50", |o| format!("{:.1} ms", o.p50_ms)),
        ("a change takes, p99", |o| format!("{:.1} ms", o.p99_ms)),
        ("grants", |o| o.grants.to_string()),
        ("messages for them", |o| match o.batches {
            0 => "-".to_owned(),
            batches => batches.to_string(),
        }),
    ];
    let outcomes = [naive, guarded].map(Run::outcome);
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(["", naive.side.name(), guarded.side.name()]);
    for (name, show) in lines {
        table.add_row([name.to_owned()].into_iter().chain(outcomes.iter().map(show)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
