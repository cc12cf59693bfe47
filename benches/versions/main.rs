//! Versioned values beside their peers:
//! `cargo bench -p benches --bench versions -- [--filter SUBSTR] [--rounds N] [--markdown]`.

mod cell;
#[allow(dead_code, reason = "others use all of it")]
#[path = "../harness/mod.rs"]
mod harness;
mod map;

fn main() {
    let mut report = harness::Report::new();
    let runtime = harness::crowd::runtime();
    cell::run(&mut report, &runtime);
    map::run(&mut report, &runtime);
    report.finish();
}
