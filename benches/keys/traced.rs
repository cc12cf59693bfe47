//! A free key with the feature `tracing`, when no subscriber wants to hear of it:
//! `cargo bench -p benches --bench keys --features tracing -- tracing`. Compare with the floor, which has no events.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::asked::Keys;
use crate::harness::{Measure, Report};
use crate::peers::StdHasher;
use crate::tables::Tables;

pub(crate) fn run(report: &mut Report) {
    let (numbers, Tables { ours, floor, .. }) = (Keys::numbers(), &Tables::<_, StdHasher>::new());
    let measure = Measure::new("u64 key, lock + unlock, free, from a thread, tracing, no subscriber")
        .run("latchwork", |ops| numbers.free(ops, |key| ours.lock(*key).wait()))
        .run("floor", |ops| numbers.free(ops, |key| floor.try_lock(key)));
    report.add(measure);

    let _subscribed = tracing_subscriber::registry().with(LevelFilter::ERROR).set_default();
    let measure = Measure::new("u64 key, lock + unlock, free, from a thread, tracing, subscriber to errors")
        .run("latchwork", |ops| numbers.free(ops, |key| ours.lock(*key).wait()))
        .run("floor", |ops| numbers.free(ops, |key| floor.try_lock(key)));
    report.add(measure);
}
