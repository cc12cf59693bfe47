//! What a lock over several processes costs, beside the locks that PostgreSQL has itself, and one of Redis.

mod alone;
mod child;
mod database;
mod peers;
mod processes;
mod redis;
mod statements;
mod together;
mod verified;
mod waiting;

use tokio::runtime::Runtime;

pub(crate) use self::child::play_a_role;
use self::database::Database;
use crate::harness::Report;

pub(crate) fn run(report: &mut Report, runtime: &Runtime, url: &str) {
    // A connection that is dropped goes back to its pool in a task.
    let _inside = runtime.enter();
    let database = Database::connect(runtime, url);
    alone::run(report, &database);
    statements::run(report, &database);
    together::run(report, &database);
    processes::run(report, &database);
    verified::run(report, &database);
    waiting::run(report, &database);
    database.clean_up();
}
