//! What a scope costs: `cargo bench -p benches --bench databases -- [--filter SUBSTR] [--rounds N] [--markdown]`. With
//! `DATABASE_URL=postgres://…` also on PostgreSQL, in tables that are dropped again.

mod classify;
#[path = "../harness/counting.rs"]
mod counting;
#[allow(dead_code, reason = "others use all of it")]
#[path = "../harness/mod.rs"]
mod harness;
mod leases;
mod scopes;

use std::env;

fn main() {
    let mut report = harness::Report::new();
    let runtime = harness::crowd::runtime();
    scopes::run(&mut report, &runtime);
    if let Ok(url) = env::var("DATABASE_URL") {
        leases::run(&mut report, &runtime, &url);
    }
    classify::run(&mut report, &runtime);
    report.finish();
}
