//! Keyed locks beside their peers: `cargo bench --bench keys -- [--filter SUBSTR] [--rounds N] [--markdown]`.

#[path = "../harness/counting.rs"]
mod counting;
mod crowded;
mod free;
#[path = "../harness/mod.rs"]
mod harness;
mod memory;
mod peers;

fn main() {
    let mut report = harness::Report::new();
    let runtime = harness::crowd::runtime();
    free::run(&mut report, &runtime);
    crowded::run(&mut report, &runtime);
    memory::run(&mut report, &runtime);
    report.finish();
}
