//! Retries beside their peers: `cargo bench -p benches --bench retry -- [--filter SUBSTR] [--rounds N] [--markdown]`.
//!
//! What they cost depends on what the compiler sees at once more than other costs do. So there are two profiles to
//! run them in, which the titles name: the other is `cargo bench -p benches --profile bench-plain --bench retry`.

mod again;
#[path = "../harness/counting.rs"]
mod counting;
mod first;
#[allow(dead_code, reason = "no crowd is needed here")]
#[path = "../harness/mod.rs"]
mod harness;
mod memory;
mod timed;
mod work;

fn main() {
    let mut report = harness::Report::new().with_profile();
    let runtime = harness::crowd::runtime();
    first::run(&mut report, &runtime);
    again::run(&mut report, &runtime);
    memory::run(&mut report, &runtime);
    report.finish();
}
