//! Keyed locks beside their peers:
//! `cargo bench -p benches --bench keys -- [--filter SUBSTR] [--rounds N] [--markdown]`.
//! With `--features tracing` there is a measure of what that costs where nobody listens, too.

mod asked;
mod claims;
#[path = "../harness/counting.rs"]
mod counting;
mod crowded;
mod free;
#[allow(dead_code, reason = "others use all of it")]
#[path = "../harness/mod.rs"]
mod harness;
mod many;
mod memory;
mod peers;
mod tables;
#[cfg(feature = "tracing")]
mod traced;

fn main() {
    let mut report = harness::Report::new();
    let runtime = harness::crowd::runtime();
    free::run(&mut report, &runtime);
    many::run(&mut report, &runtime);
    claims::run(&mut report);
    crowded::run(&mut report, &runtime);
    memory::run(&mut report, &runtime);
    #[cfg(feature = "tracing")]
    traced::run(&mut report);
    report.finish();
}
