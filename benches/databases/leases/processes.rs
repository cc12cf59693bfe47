//! Several processes: each locks a key of its own, or one waits for the key of another one that dies.

use std::time::Instant;

use super::child::{HOLD, LEASE, Process, REDIS};
use super::database::{Database, INTERVAL, asked, builder};
use super::peers::Kind;
use super::redis;
use crate::harness::{Measure, Report, per_op};

const PROCESSES: u64 = 4;

pub(super) fn run(report: &mut Report, database: &Database<'_>) {
    side_by_side(report, database);
    dead(report, database);
}

/// Measures the time of a lock over all processes, which are started once.
fn side_by_side(report: &mut Report, database: &Database<'_>) {
    let turns = |role: &'static str, url: &str| {
        let url = url.to_owned();
        let mut team: Vec<Process> = Vec::new();
        move |ops: u64| {
            if team.is_empty() {
                team.extend((0..).take(PROCESSES as usize).map(|key| Process::start(role, &url, key)));
            }
            let each = ops.div_ceil(PROCESSES);
            let start = Instant::now();
            team.iter_mut().for_each(|process| process.order(each));
            team.iter_mut().for_each(Process::answer);
            per_op(start.elapsed(), each * PROCESSES)
        }
    };
    let mut measure = Measure::new("a key of its own in each of 4 processes, acquired and released");
    for kind in Kind::ALL {
        measure = measure.run(kind.name(), turns(kind.name(), database.url));
    }
    for (name, url) in redis::servers(database.runtime) {
        measure = measure.run(name, turns(REDIS, &url));
    }
    report.add(measure);
}

/// Measures when a process gets the key of another one that was killed just after its grant.
fn dead(report: &mut Report, database: &Database<'_>) {
    let Database { runtime, url, pool, .. } = database;
    let freed = |_: u64| {
        let locks = builder(pool).lease(LEASE).poll_interval(INTERVAL).connect();
        let locks = runtime.block_on(locks).expect("the table is there");
        let mut holder = Process::start(HOLD, url, 9);
        let waiting = runtime.spawn(locks.lock_owned(9).into_future());
        runtime.block_on(asked(&locks, 1));
        let start = Instant::now();
        holder.kill();
        let got = runtime.block_on(waiting).expect("it does not panic");
        let took = start.elapsed();
        drop(got.expect("the server answers"));
        runtime.block_on(locks.shut_down());
        took.as_secs_f64() / (LEASE + INTERVAL).as_secs_f64()
    };
    let measure = Measure::new("time until a dead process's key is free, over its lease and a poll interval");
    report.add(measure.unit("×").at_most_rounds(3).fixed(1).run("latchwork", freed).bound(1.0));
}
