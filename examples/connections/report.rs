//! What is counted, shown and promised.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::Value;

use crate::compare::Seen;
use crate::conduct::SideRun;
use crate::side::Phase;

/// What the journal says about a phase.
#[derive(Clone, Copy, Default)]
pub(crate) struct Audit {
    pub(crate) committed: u64,
    pub(crate) half_done: u64,
}

/// What people met with in one phase.
pub(crate) struct Tally {
    requests: u64,
    ok: u64,
    refused: u64,
    kitchen_errors: u64,
    server_errors: u64,
    starved: u64,
    pub(crate) hung_up: u64,
    /// Microseconds until an answer came, whatever it was.
    took: Histogram<u64>,
    /// What a guarded service would not have done.
    pub(crate) broken: Vec<String>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            requests: 0,
            ok: 0,
            refused: 0,
            kitchen_errors: 0,
            server_errors: 0,
            starved: 0,
            hung_up: 0,
            took: Histogram::new_with_bounds(1, 60_000_000, 3).expect("up to a minute, 3 digits"),
            broken: Vec::new(),
        }
    }
}

impl Tally {
    pub(crate) fn count(&mut self, status: u16, body: &Value, took: Duration) {
        self.requests += 1;
        self.took.saturating_record(took.as_micros() as u64);
        match status {
            200 => self.ok += 1,
            400..500 => self.refused += 1,
            // The kitchen's own failures.
            502 | 504 => self.kitchen_errors += 1,
            _ => self.server_errors += 1,
        }
        let kind = body["type"].as_str().unwrap_or_default();
        self.starved += u64::from(status == 503 && kind.ends_with("#database-unavailable"));
    }

    fn add(&mut self, part: Self) {
        self.requests += part.requests;
        self.ok += part.ok;
        self.refused += part.refused;
        self.kitchen_errors += part.kitchen_errors;
        self.server_errors += part.server_errors;
        self.starved += part.starved;
        self.hung_up += part.hung_up;
        self.took.add(&part.took).expect("their bounds are the same");
        self.broken.extend(part.broken);
    }
}

/// A tally for each phase.
#[derive(Default)]
pub(crate) struct Tallies(BTreeMap<Phase, Tally>);

impl Tallies {
    pub(crate) fn of(&mut self, phase: Phase) -> &mut Tally {
        self.0.entry(phase).or_default()
    }

    pub(crate) fn add(&mut self, part: Self) {
        for (phase, tally) in part.0 {
            self.of(phase).add(tally);
        }
    }

    pub(crate) fn take(&mut self, phase: Phase) -> Tally {
        self.0.remove(&phase).unwrap_or_default()
    }
}

/// Its names are those of the JSON output. The latencies are those of all answers.
#[derive(Clone, Serialize)]
pub(crate) struct Outcome {
    #[serde(skip)]
    pub(crate) phase: Phase,
    requests: u64,
    ok: u64,
    refused: u64,
    kitchen_errors: u64,
    server_errors: u64,
    starved_requests: u64,
    hung_up: u64,
    /// `None` if the load went on afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    leaked: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_in_transaction: Option<u64>,
    pub(crate) half_done: u64,
    committed: u64,
    rolled_back: u64,
    would_roll_back: u64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Outcome {
    /// Returns the outcome of a phase, after which these connections were `left` if the load was over.
    pub(crate) fn new(run: &SideRun, phase: Phase, tally: &Tally, left: Option<Seen>) -> Self {
        let Audit { committed, half_done } = run.audit.get(&phase).copied().unwrap_or_default();
        let ms = |quantile| tally.took.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            phase,
            requests: tally.requests + tally.hung_up,
            ok: tally.ok,
            refused: tally.refused,
            kitchen_errors: tally.kitchen_errors,
            server_errors: tally.server_errors,
            starved_requests: tally.starved,
            hung_up: tally.hung_up,
            leaked: left.map(Seen::leaked),
            idle_in_transaction: left.and_then(|left| left.idle_in_transaction),
            half_done,
            committed,
            rolled_back: match phase {
                Phase::Naive => run.rolled_back_by_hand,
                Phase::Enforce => run.scope.rolled_back(),
                Phase::Off | Phase::Observe => 0,
            },
            would_roll_back: if phase == Phase::Observe { run.scope.would_roll_back() } else { 0 },
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
        }
    }

    /// Returns the promises of a guarded service that were broken in this phase.
    pub(crate) fn broken_promises(&self, tally: &Tally) -> Vec<String> {
        let mut broken = Vec::new();
        let mut promise = |kept: bool, otherwise: String| {
            if !kept {
                broken.push(otherwise);
            }
        };
        promise(self.server_errors == 0, format!("{} server errors", self.server_errors));
        promise(self.starved_requests == 0, format!("{} requests got no connection", self.starved_requests));
        if self.phase == Phase::Enforce {
            promise(self.half_done == 0, format!("{} changes are half-done", self.half_done));
            // Each 200 was a change.
            let (ok, stored) = (self.ok, self.committed);
            promise(stored >= ok, format!("{ok} changes were answered with 200, and {stored} are stored"));
        }
        if let Some(leaked) = self.leaked {
            promise(leaked == 0, format!("{leaked} connections leaked"));
        }
        if let Some(idle) = self.idle_in_transaction {
            promise(idle == 0, format!("{idle} sessions are still inside a transaction"));
        }
        broken.extend_from_slice(&tally.broken);
        broken.into_iter().map(|promise| format!("{}: {promise}", self.phase.name())).collect()
    }
}

/// Returns one JSON object: each phase, and the last one under the name `guarded` as well.
pub(crate) fn json(outcomes: &[Outcome]) -> serde_json::Result<String> {
    let mut sides: BTreeMap<_, _> = outcomes.iter().map(|outcome| (outcome.phase.name(), outcome)).collect();
    sides.extend(outcomes.iter().rfind(|o| o.phase == Phase::Enforce).map(|outcome| ("guarded", outcome)));
    serde_json::to_string(&sides)
}

pub(crate) fn table(outcomes: &[Outcome]) -> Table {
    type Line = (&'static str, fn(&Outcome) -> String);
    let lines: [Line; 15] = [
        ("requests", |o| o.requests.to_string()),
        ("200", |o| o.ok.to_string()),
        ("refused (4xx)", |o| o.refused.to_string()),
        ("failures of the kitchen (502, 504)", |o| o.kitchen_errors.to_string()),
        ("own failures (other 5xx)", |o| o.server_errors.to_string()),
        ("of these: no connection became free", |o| o.starved_requests.to_string()),
        ("people hung up", |o| o.hung_up.to_string()),
        ("connections leaked", |o| or_dash(o.leaked)),
        ("sessions left idle in transaction", |o| or_dash(o.idle_in_transaction)),
        ("changes committed", |o| o.committed.to_string()),
        ("changes left half-done", |o| o.half_done.to_string()),
        ("rolled back", |o| o.rolled_back.to_string()),
        ("would have been rolled back", |o| o.would_roll_back.to_string()),
        ("an answer takes, p50", |o| format!("{:.1} ms", o.p50_ms)),
        ("an answer takes, p99", |o| format!("{:.1} ms", o.p99_ms)),
    ];
    let mut table = Table::new();
    let head = [""].into_iter().chain(outcomes.iter().map(|outcome| outcome.phase.name()));
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(head);
    for (name, show) in lines {
        table.add_row([name.to_owned()].into_iter().chain(outcomes.iter().map(show)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn or_dash(number: Option<u64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}
