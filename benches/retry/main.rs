//! Retries beside their peers: `cargo bench --bench retry -- [--filter SUBSTR] [--rounds N] [--markdown]`.

mod again;
#[path = "../harness/counting.rs"]
mod counting;
mod first;
#[expect(dead_code, reason = "no crowd is needed here")]
#[path = "../harness/mod.rs"]
mod harness;
mod memory;
mod work;

fn main() {
    let mut report = harness::Report::new();
    let runtime = harness::crowd::runtime();
    first::run(&mut report, &runtime);
    again::run(&mut report, &runtime);
    memory::run(&mut report, &runtime);
    report.finish();
}
