//! Handlers that change one row at the same moment, each by reading it, changing it and storing it if
//! nobody else did: what spreading the waits and escalating to a lock are worth.
//!
//! Time is simulated, and all chance comes of seeds: each run prints the same numbers.
//!
//! ```text
//! cargo run --release --example retry_storm -- --svg src/docs/retry_storm.svg
//! ```

mod plot;
mod storm;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::storm::{Outcome, Strategy};

/// How many handlers meet at the row.
const CROWDS: [usize; 5] = [5, 10, 20, 50, 100];

/// Lets a crowd of handlers loose on one row, with each way to wait before a retry.
#[derive(Parser)]
struct Args {
    /// How many storms there are of each kind; each has its own seed.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,

    /// Print the outcomes as one JSON object, on the last line.
    #[arg(long)]
    json: bool,

    /// Write a plot of the outcomes to this file.
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    seeds: u64,
    storms: Vec<Outcome>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    println!("handlers that change one row at the same moment, {} storms of each kind;", args.seeds);
    println!("waits of 100, 200 and 400 ms before they are spread, four attempts a call");
    let mut storms = Vec::new();
    for handlers in CROWDS {
        for strategy in Strategy::ALL {
            storms.push(storm::run(strategy, handlers, args.seeds)?);
        }
    }

    println!("{}", table(&storms));
    let broken = broken_promises(&storms);
    for promise in &broken {
        eprintln!("BROKEN: {promise}");
    }
    if let Some(path) = &args.svg {
        plot::draw(&storms, &CROWDS, path)?;
        println!("plotted to {}", path.display());
    }
    if args.json {
        println!("{}", serde_json::to_string(&Report { seeds: args.seeds, storms })?);
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(storms: &[Outcome]) -> Table {
    let header = ["handlers", "strategy", "failed calls", "attempts a call", "p50", "p99"];
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(header);
    for storm in storms {
        table.add_row([
            storm.handlers.to_string(),
            storm.strategy.name().to_owned(),
            format!("{:.2} %", storm.failed_percent),
            format!("{:.2}", storm.attempts_per_call),
            format!("{:.0} ms", storm.p50_ms),
            format!("{:.0} ms", storm.p99_ms),
        ]);
    }
    for column in table.column_iter_mut().filter(|column| column.index != 1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn broken_promises(storms: &[Outcome]) -> Vec<String> {
    let mut broken = Vec::new();
    for storm in storms {
        let (handlers, name) = (storm.handlers, storm.strategy.name());
        if storm.stored != storm.succeeded {
            let Outcome { stored, succeeded, .. } = storm;
            broken.push(format!("{handlers} handlers, {name}: {succeeded} calls succeeded, {stored} stored"));
        }
        if storm.strategy == Strategy::Escalation && storm.failed > 0 {
            broken.push(format!("{handlers} handlers, {name}: {} calls failed", storm.failed));
        }
    }
    broken
}
