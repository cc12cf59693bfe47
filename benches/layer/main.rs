//! What a lock around a service costs: `cargo bench -p benches --bench layer -- [--filter SUBSTR] [--rounds N]
//! [--markdown]`.

#[path = "../harness/counting.rs"]
mod counting;
#[allow(dead_code, reason = "others use all of it")]
#[path = "../harness/mod.rs"]
mod harness;
mod in_process;
mod over_http;
mod service;

fn main() {
    let mut report = harness::Report::new();
    let runtime = harness::crowd::runtime();
    in_process::run(&mut report, &runtime);
    over_http::run(&mut report, &runtime);
    report.finish();
}
