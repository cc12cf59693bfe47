//! Locks beside their peers: `cargo bench -p benches --bench locks -- [--filter SUBSTR] [--rounds N] [--markdown]`.

mod crowded;
mod free;
mod hand_over;
#[allow(dead_code, reason = "others use all of it")]
#[path = "../harness/mod.rs"]
mod harness;
mod late;
mod peers;
mod queue;
mod readers;
mod semaphore;
mod silent;
mod waits;

fn main() {
    let mut report = harness::Report::new();
    let runtime = harness::crowd::runtime();
    free::run(&mut report, &runtime);
    crowded::run(&mut report, &runtime);
    readers::run(&mut report, &runtime);
    late::run(&mut report, &runtime);
    semaphore::run(&mut report, &runtime);
    hand_over::run(&mut report, &runtime);
    queue::run(&mut report);
    silent::run(&mut report);
    report.finish();
}
