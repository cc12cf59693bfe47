//! What transactions and leases cost: `cargo bench -p benches --bench databases -- [--filter SUBSTR] [--rounds N] [--markdown]`.
//!
//! - `DATABASE_URL=postgres://…` adds the rows of PostgreSQL, in tables that are dropped again. Some
//!   rows of leases need several processes: this program starts itself again.
//! - `REDIS_URL="redis://… redis://…"` adds one or more Redis servers as peers. They need `DATABASE_URL` as well.
//! - If PostgreSQL has `pg_stat_statements` in its `shared_preload_libraries`, its statements are counted. The role must be a
//!   superuser.

mod classify;
#[path = "../harness/counting.rs"]
mod counting;
#[allow(dead_code, reason = "others use all of it")]
#[path = "../harness/mod.rs"]
mod harness;
mod leases;
mod scopes;

use std::env;

fn main() {
    if leases::play_a_role() {
        return;
    }
    let mut report = harness::Report::new();
    let runtime = harness::crowd::runtime();
    scopes::run(&mut report, &runtime);
    if let Ok(url) = env::var("DATABASE_URL") {
        leases::run(&mut report, &runtime, &url);
    }
    classify::run(&mut report, &runtime);
    report.finish();
}
