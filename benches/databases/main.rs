//! What a scope costs: `cargo bench -p benches --bench databases -- [--filter SUBSTR] [--rounds N] [--markdown]`. With
//! `DATABASE_URL=postgres://…` also on PostgreSQL, in a temporary table.

mod classify;
#[path = "../harness/counting.rs"]
mod counting;
#[allow(dead_code, reason = "others use all of it")]
#[path = "../harness/mod.rs"]
mod harness;
mod scopes;

fn main() {
    let mut report = harness::Report::new();
    let runtime = harness::crowd::runtime();
    scopes::run(&mut report, &runtime);
    classify::run(&mut report, &runtime);
    report.finish();
}
