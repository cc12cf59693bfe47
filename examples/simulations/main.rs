//! Endpoints and worker threads that share one map of counts and a bound on analyses, on one event
//! loop: first with an async lock on one side and a thread lock on the other, then with one lock.
//!
//! ```text
//! cargo run --release --example simulations
//! ```

mod drive;
mod lab;
mod shared;
mod two_locks;

use std::process::ExitCode;

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::drive::{Failure, Outcome};
use crate::lab::{ANALYSES, CHECKPOINT};

/// Shares a map and a semaphore between async endpoints and OS threads, with two locks and with one.
#[derive(Parser)]
struct Args {
    /// HTTP clients, each with its own connection.
    #[arg(long, default_value_t = 12, value_parser = count(1, 200))]
    clients: usize,

    /// Worker threads.
    #[arg(long, default_value_t = 8, value_parser = count(1, 200))]
    workers: usize,

    /// Steps that each client and each worker takes.
    #[arg(long, default_value_t = 400, value_parser = count(1, 100_000))]
    steps: usize,

    /// Print the outcome as one JSON object, on the last line.
    #[arg(long)]
    json: bool,
}

fn count(least: u64, most: u64) -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser;
    clap::builder::RangedU64ValueParser::<u64>::new().range(least..=most).map(|count| count as usize)
}

#[derive(Serialize)]
struct Report {
    two_locks: Outcome,
    shared: Outcome,
}

/// One event loop on one thread: whatever stalls it can't be made up for by another.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Failure> {
    let args = Args::parse();
    let (clients, workers, steps) = (args.clients, args.workers, args.steps);
    println!("{clients} clients of one event loop and {workers} worker threads take {steps} steps each;");
    println!("a worker's checkpoint keeps the map for {CHECKPOINT:?} now and then.");
    let report = Report {
        two_locks: drive::run(two_locks::TwoLocks::new(), &args).await?,
        shared: drive::run(shared::Shared::new(), &args).await?,
    };

    println!("{}", table(&report));
    let broken = broken_promises(&report.shared);
    if broken.is_empty() {
        println!("one lock: no update lost, never more than {ANALYSES} analyses at the same time");
    }
    for promise in &broken {
        eprintln!("BROKEN: {promise}");
    }
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(report: &Report) -> Table {
    type Line = (&'static str, fn(&Outcome) -> String);
    let lines: [Line; 5] = [
        ("steps taken", |o| o.expected.to_string()),
        ("steps in the map", |o| o.counted.to_string()),
        ("lost updates", |o| o.expected.saturating_sub(o.counted).to_string()),
        ("most analyses at the same time", |o| format!("{} of {ANALYSES}", o.max_concurrent_analyses)),
        ("longest stall of the event loop", |o| format!("{:.1} ms", o.max_stall_ms)),
    ];
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(["", "two locks", "one lock"]);
    for (name, show) in lines {
        table.add_row([name.to_owned(), show(&report.two_locks), show(&report.shared)]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn broken_promises(shared: &Outcome) -> Vec<String> {
    let mut broken = Vec::new();
    if shared.counted != shared.expected {
        broken.push(format!("{} steps were taken, {} counted", shared.expected, shared.counted));
    }
    if shared.max_concurrent_analyses > ANALYSES {
        broken.push(format!("{} of at most {ANALYSES} analyses ran", shared.max_concurrent_analyses));
    }
    broken
}
