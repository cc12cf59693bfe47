//! A process that nobody else competes with, and one request at a time.

use super::database::{Database, builder};
use super::peers::{Kind, Peer};
use super::redis::{self, Redis};
use crate::harness::{Measure, Report};

pub(super) fn run(report: &mut Report, database: &Database<'_>) {
    let Database { runtime, pool, locks, .. } = database;
    let turns = |mut peer: Peer| move |ops: u64| runtime.block_on(peer.turns(7, ops));
    let ours = || turns(Peer::Lease(locks.clone()));

    let title = "a key for several processes, acquired and released";
    let mut measure = Measure::new(title).run("latchwork", ours());
    for kind in Kind::OTHERS {
        measure = measure.run(kind.name(), turns(runtime.block_on(Peer::connect(kind, pool))));
        if let Some(goal) = kind.goal() {
            measure = measure.goal(goal);
        }
    }
    for (name, url) in redis::servers(runtime) {
        measure = measure.run(name, turns(Peer::Redis(runtime.block_on(Redis::connect(&url)))));
    }
    report.add(measure);

    let mut peer = Peer::Lease(locks.clone());
    let batches = |ops: u64| {
        let before = locks.stats().counts().batches;
        runtime.block_on(peer.turns(7, ops));
        (locks.stats().counts().batches - before) as f64 / ops as f64
    };
    let title = "messages to PostgreSQL for a key, acquired and released";
    let measure = Measure::new(title).unit("messages").at_most_rounds(3).fixed(200);
    report.add(measure.run("latchwork", batches).bound(2.0));

    let silent = runtime.block_on(builder(pool).notify(false).connect()).expect("the table is there");
    let measure = Measure::new("a key of PostgreSQL that nobody else waits for, with NOTIFY")
        .run("latchwork", ours())
        .run("latchwork without NOTIFY", turns(Peer::Lease(silent.clone())))
        .goal(1.05);
    report.add(measure);
    runtime.block_on(silent.shut_down());
}
