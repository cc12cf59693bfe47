//! Flights beside their peers: `cargo bench -p benches --bench flight -- [--filter SUBSTR] [--rounds N] [--markdown]`.

mod alone;
#[allow(dead_code, reason = "others use all of it")]
#[path = "../harness/mod.rs"]
mod harness;
mod peers;
mod together;

fn main() {
    let mut report = harness::Report::new();
    let runtime = harness::crowd::runtime();
    alone::run(&mut report, &runtime);
    together::run(&mut report, &runtime);
    report.finish();
}
