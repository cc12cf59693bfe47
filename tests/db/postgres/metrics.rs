//! What locks over the database publish, held against the table of the documentation.

#[path = "../../http/metrics/exposition.rs"]
mod exposition;
#[path = "../../http/metrics/table.rs"]
#[allow(dead_code, reason = "it serves the other binary, too")]
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use latchwork::KeyedLock;
use latchwork::pg::PgKeyedLock;
use latchwork::publish::Publisher;
use metrics_exporter_prometheus::PrometheusBuilder;
use sqlx::query_scalar;

use super::pool;

#[tokio::test]
async fn leases_are_published_under_the_documented_names_with_what_was_counted() {
    let pool = pool(1).await;
    let builder = || PgKeyedLock::<String>::builder(&pool).name("jobs");
    builder().create_table().await.expect("the role may create tables");
    let (jobs, elsewhere) =
        (builder().connect().await.expect("it is there"), builder().connect().await.expect("it is there"));
    let publisher = Publisher::new().pg_keyed_lock(&jobs);
    let held = jobs.lock_owned("ada".to_owned()).await.expect("nobody has it");
    let _other = elsewhere.lock_owned("grace".to_owned()).await.expect("nobody has it");
    assert!(jobs.try_lock_owned("grace".to_owned()).await.is_err());
    jobs.shut_down().await;
    assert!(held.is_lost());
    assert!(jobs.try_lock_owned("grace".to_owned()).await.is_err());

    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let text = metrics::with_local_recorder(&recorder, || {
        publisher.publish();
        handle.render()
    });
    let shown = exposition::Exposition::parse(&text);
    let rows = table::lease_names();
    for row in &rows {
        assert_eq!(
            (shown.types.get(&row.name), shown.helps.get(&row.name)),
            (Some(&row.kind), Some(&row.what))
        );
        assert!(row.labels.iter().eq(["lock"]) && row.unit == "count", "{}", row.name);
    }
    let counts = jobs.stats().counts();
    let lease = |figure: &str, count: u64| (format!("latchwork_lease_{figure}_total"), count);
    let expected = BTreeMap::from([
        lease("granted", counts.granted),
        lease("busy", counts.busy),
        lease("unavailable", counts.unavailable),
        lease("lost", counts.lost),
        lease("batches", counts.batches),
        lease("connections", counts.connections),
    ]);
    assert_eq!((counts.granted, counts.busy, counts.lost, counts.connections), (1, 1, 1, 1));
    for (name, count) in &expected {
        assert_eq!(shown.value(name, &[("lock", "jobs")]), *count as f64, "{name}");
    }
    let published = shown.types.keys().filter(|name| name.starts_with("latchwork_lease_"));
    let documented: BTreeSet<_> = rows.iter().map(|row| &row.name).collect();
    assert!(published.eq(documented.iter().copied()) && expected.keys().eq(documented), "{:?}", shown.types);
    // The local locks in front of the leases.
    let local = jobs.local().counts();
    assert_eq!(shown.value("latchwork_lock_acquired_total", &[("lock", "jobs")]), local.acquired as f64);
}

#[tokio::test]
async fn a_name_is_published_once_for_local_locks_and_leases_together() {
    let pool = pool(1).await;
    let jobs = PgKeyedLock::<String>::connect(&pool).await.expect("the role may create tables");
    let local = Arc::new(KeyedLock::<u32>::builder().name("leases").build());
    let publisher = Publisher::new().keyed_lock(&local);
    let panic = std::panic::catch_unwind(AssertUnwindSafe(|| publisher.pg_keyed_lock(&jobs)));
    let panic = panic.expect_err("the name is taken");
    let text = panic.downcast_ref::<String>().expect("it has a text");
    assert!(text.contains("\"leases\" is published already"), "{text}");
}

/// Otherwise the task would go on for as long as the program publishes.
#[tokio::test]
async fn a_publisher_does_not_keep_the_locks_alive() {
    let pool = pool(1).await;
    let jobs = PgKeyedLock::<String>::connect(&pool).await.expect("the role may create tables");
    let publisher = Publisher::new().pg_keyed_lock(&jobs);
    let sessions = "select count(*) from pg_stat_activity where datname = current_database()";
    let sessions = async || query_scalar::<_, i64>(sessions).fetch_one(&pool).await.expect("a number");
    // That of the pool, and that of the leases. The one that looked at the table ends.
    while sessions().await != 2 {}
    drop(jobs);
    while sessions().await > 1 {}
    publisher.publish();
}
