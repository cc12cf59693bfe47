//! Locks beside their peers: `cargo bench --bench locks -- [--filter SUBSTR] [--rounds N] [--markdown]`.

mod crowded;
mod free;
mod hand_over;
#[path = "../harness/mod.rs"]
mod harness;
mod peers;
mod queue;

fn main() {
    let mut report = harness::Report::new();
    let runtime = harness::crowd::runtime();
    free::run(&mut report, &runtime);
    crowded::run(&mut report, &runtime);
    hand_over::run(&mut report, &runtime);
    queue::run(&mut report);
    report.finish();
}
