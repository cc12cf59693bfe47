//! Names, labels and values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use latchwork::layer::{CoalesceLayer, KeyedLockLayer, Outcome};
use latchwork::publish::{BUCKETS, Publisher, Source};
use latchwork::{
    KeyedLock, KeyedSemaphore, RetryPolicy, SingleFlight,
    retry::{Budget, RetryStats},
    verdict::RetryKind,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::exposition::Exposition;
use super::scene::{ByPath, Scene, recorder};
use super::table;
use crate::support::{Hand, panic_of, until};

fn scraped(handle: &PrometheusHandle, publisher: &Publisher) -> Exposition {
    publisher.publish();
    Exposition::parse(&handle.render())
}

/// The name of a sample without the endings that histograms give to theirs.
fn family<'a>(name: &'a str, types: &BTreeMap<String, String>) -> &'a str {
    let endings = ["_bucket", "_sum", "_count"];
    let base = endings.into_iter().find_map(|ending| name.strip_suffix(ending));
    base.filter(|base| types.get(*base).is_some_and(|kind| kind == "histogram")).unwrap_or(name)
}

#[test]
fn the_documented_names_are_published_with_their_types_labels_and_texts_and_no_others() {
    let recorder = recorder();
    let handle = recorder.handle();
    let shown = metrics::with_local_recorder(&recorder, || {
        let scene = Scene::new();
        scene.work();
        scraped(&handle, &scene.publisher)
    });
    let rows = table::names();
    let documented: BTreeMap<_, _> = rows.iter().map(|row| (row.name.clone(), row.kind.clone())).collect();
    assert_eq!(documented.len(), rows.len(), "a name is documented twice");
    assert_eq!(shown.types, documented);
    let texts: BTreeMap<_, _> = rows.iter().map(|row| (row.name.clone(), row.what.clone())).collect();
    assert_eq!(shown.helps, texts);

    let fixed = table::fixed_values();
    let given = BTreeMap::from([
        ("lock", BTreeSet::from(["seats", "users"])),
        ("policy", BTreeSet::from(["load card", "save card"])),
        ("budget", BTreeSet::from(["database"])),
        ("flight", BTreeSet::from(["menus", "pages"])),
        ("layer", BTreeSet::from(["plans"])),
        ("scope", BTreeSet::from(["sales"])),
    ]);
    for row in &rows {
        let samples = shown.samples.iter().filter(|sample| family(&sample.name, &shown.types) == row.name);
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for sample in samples {
            let labels = sample.labels.iter().filter(|(label, _)| *label != "le");
            let names: BTreeSet<_> = labels.clone().map(|(label, _)| label.clone()).collect();
            assert_eq!(names, row.labels, "{}", row.name);
            labels.for_each(|(label, value)| {
                values.entry(label).or_default().insert(value);
            });
        }
        assert_eq!(values.len(), row.labels.len(), "{} is not there", row.name);
        for (label, values) in values {
            match given.get(label) {
                Some(given) => assert_eq!(values, *given, "{} {label}", row.name),
                None => {
                    let of_name = fixed.get(&(label.to_owned(), Some(row.name.clone())));
                    let documented = of_name.unwrap_or_else(|| &fixed[&(label.to_owned(), None)]);
                    assert!(values.into_iter().eq(documented.iter()), "{} {label}", row.name);
                }
            }
        }
    }
    let labels: BTreeSet<_> = rows.iter().flat_map(|row| row.labels.clone()).collect();
    let explained: BTreeSet<_> = fixed.keys().map(|(label, _)| label.clone()).collect();
    assert_eq!(labels, explained, "each label is explained");
    for (_, name) in fixed.keys() {
        assert!(name.as_ref().is_none_or(|name| documented.contains_key(name)), "there is no {name:?}");
    }
}

#[test]
fn values_are_those_that_the_core_has_counted() {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let scene = Scene::new();
        scene.work();
        let held = scene.users.lock("grace").wait();
        let waiting = Hand::queued(scene.users.lock("grace"));
        let shown = scraped(&handle, &scene.publisher);
        for (name, stats) in [("users", scene.users.counts()), ("seats", scene.seats.counts())] {
            let lock = |figure: &str| shown.value(&format!("latchwork_lock_{figure}"), &[("lock", name)]);
            assert!(stats.acquired > 800 && stats.busy > 0 && stats.cancelled > 0, "{stats:?}");
            assert_eq!(lock("acquired_total"), stats.acquired as f64);
            assert_eq!(lock("waited_total"), stats.waited as f64);
            assert_eq!(lock("busy_total"), stats.busy as f64);
            assert_eq!(lock("timed_out_total"), stats.timed_out as f64);
            assert_eq!(lock("cancelled_total"), stats.cancelled as f64);
            assert_eq!(lock("keys"), stats.keys as f64);
            assert_eq!(lock("waiting"), stats.waiting as f64);
            assert_eq!(lock("longest_queue"), stats.longest_queue as f64);
        }
        assert_eq!(scene.users.counts().waiting, 1);
        drop((held, waiting));

        let under_way = scene.menus.join("tuesday").wait();
        let shown = scraped(&handle, &scene.publisher);
        for (name, stats) in [("menus", scene.menus.counts()), ("pages", scene.pages.counts())] {
            let flight =
                |figure: &str| shown.value(&format!("latchwork_flight_{figure}"), &[("flight", name)]);
            assert!(stats.flights > 0 && stats.joined > 0, "{stats:?}");
            assert_eq!(flight("flights_total"), stats.flights as f64);
            assert_eq!(flight("joined_total"), stats.joined as f64);
            assert_eq!(flight("aborted_total"), stats.aborted as f64);
            assert_eq!(flight("under_way"), stats.under_way as f64);
        }
        let menus = scene.menus.counts();
        assert_eq!((menus.flights, menus.joined, menus.aborted, menus.under_way), (4, 3, 1, 1));
        drop(under_way);

        for (name, stats) in [("save card", &scene.saves), ("load card", &scene.loads)] {
            let counts = stats.counts();
            let retry = |figure: &str, label: Option<(&str, &str)>| {
                let labels: Vec<_> = [("policy", name)].into_iter().chain(label).collect();
                shown.value(&format!("latchwork_retry_{figure}_total"), &labels)
            };
            let calls = |outcome| retry("calls", Some(("outcome", outcome)));
            assert_eq!(calls("first_try_ok"), counts.first_try_ok as f64);
            assert_eq!(calls("retried_ok"), counts.retried_ok as f64);
            assert_eq!(calls("not_retryable"), counts.not_retryable as f64);
            assert_eq!(calls("attempts_exhausted"), counts.attempts_exhausted as f64);
            assert_eq!(calls("deadline_exceeded"), counts.deadline_exceeded as f64);
            assert_eq!(calls("budget_exhausted"), counts.budget_exhausted as f64);
            assert_eq!(calls("hint_too_long"), counts.hint_too_long as f64);
            assert_eq!(calls("abandoned"), counts.abandoned as f64);
            assert_eq!(retry("failed_after_retry", None), counts.failed_after_retry as f64);
            assert_eq!(retry("attempts", None), counts.attempts as f64);
            assert_eq!(retry("conflicts", None), counts.conflicts as f64);
            for (word, kind) in [
                ("version_conflict", RetryKind::VersionConflict),
                ("unique_violation", RetryKind::UniqueViolation),
                ("deadlock", RetryKind::Deadlock),
                ("serialization", RetryKind::Serialization),
                ("lock_timeout", RetryKind::LockTimeout),
                ("throttled", RetryKind::Throttled),
                ("transient", RetryKind::Transient),
            ] {
                assert_eq!(retry("errors", Some(("kind", word))), counts.errors(kind) as f64);
            }
        }
        let saves = |reason| {
            let labels = [("policy", "save card"), ("reason", reason)];
            shown.value("latchwork_retry_without_lock_total", &labels)
        };
        let counts = scene.saves.counts();
        assert_eq!(saves("timed_out"), counts.lock_timed_out as f64);
        assert_eq!(saves("refused"), counts.lock_refused as f64);
        assert_eq!(saves("lost"), counts.lock_lost as f64);
        assert_eq!(saves("unavailable"), counts.lock_unavailable as f64);
        assert_eq!(counts.lock_timed_out, 2, "a call went on without its lock");
        let ends = [
            counts.first_try_ok,
            counts.retried_ok,
            counts.not_retryable,
            counts.attempts_exhausted,
            counts.deadline_exceeded,
            counts.budget_exhausted,
            counts.hint_too_long,
            counts.abandoned,
        ];
        assert_eq!(ends, [2, 6, 3, 1, 1, 1, 1, 1], "calls ended in every way");

        let budget = [("budget", "database")];
        assert_eq!(shown.value("latchwork_retry_budget_tokens", &budget), 0.0);
        assert_eq!(shown.value("latchwork_retry_budget_capacity", &budget), 40.0);

        let counts = scene.layer_stats();
        let requests = |outcome: Outcome| {
            let labels = [("layer", "plans"), ("outcome", outcome.name())];
            shown.value("latchwork_layer_requests_total", &labels)
        };
        for &outcome in Outcome::ALL {
            assert_eq!(requests(outcome), counts.of(outcome) as f64, "{outcome:?}");
        }
        assert_eq!(requests(Outcome::Off), 4.0);
        let treated = [Outcome::Acquired, Outcome::NoKey, Outcome::Busy, Outcome::BadKey];
        assert_eq!(treated.map(requests), [2.0, 2.0, 1.0, 1.0]);
        assert_eq!([Outcome::WouldBeBusy, Outcome::WouldBeBadKey].map(requests), [1.0, 1.0]);
    });
}

#[test]
fn histograms_count_each_grant_once_and_add_up_to_the_tables_times() {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let scene = Scene::new();
        scene.work();
        let shown = scraped(&handle, &scene.publisher);
        for (name, stats) in [("users", scene.users.counts()), ("seats", scene.seats.counts())] {
            let figure = |figure: &str| shown.value(&format!("latchwork_lock_{figure}"), &[("lock", name)]);
            assert_eq!(figure("hold_seconds_count"), stats.acquired as f64);
            let granted = stats.waited - stats.cancelled - stats.timed_out;
            assert_eq!(figure("wait_seconds_count"), granted as f64);
            let times = stats.times.expect("they are observed");
            let near = |sum: f64, total: Duration| (sum - total.as_secs_f64()).abs() < 1e-6;
            assert!(near(figure("hold_seconds_sum"), times.held_total));
            assert!(near(figure("wait_seconds_sum"), times.waited_total));
            for ending in ["hold_seconds", "wait_seconds"] {
                let bucket = format!("latchwork_lock_{ending}_bucket");
                let buckets = shown.samples.iter().filter(|sample| {
                    sample.name == bucket && sample.labels["lock"] == name && sample.labels["le"] != "+Inf"
                });
                assert_eq!(buckets.count(), BUCKETS.len());
            }
        }
    });
}

#[test]
fn to_publish_twice_counts_nothing_twice() {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let scene = Scene::new();
        scene.work();
        let once = scraped(&handle, &scene.publisher);
        scene.publisher.publish();
        assert_eq!(scraped(&handle, &scene.publisher), once);
        scene.work();
        let more = scraped(&handle, &scene.publisher);
        let acquired =
            |shown: &Exposition| shown.value("latchwork_lock_acquired_total", &[("lock", "users")]);
        assert_eq!(acquired(&more), 2.0 * acquired(&once));
    });
}

#[test]
fn counters_are_there_before_anything_was_counted() {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let scene = Scene::new();
        let idle = scraped(&handle, &scene.publisher);
        scene.work();
        let busy = scraped(&handle, &scene.publisher);
        let series = |shown: &Exposition| -> Vec<_> {
            let all = shown.samples.iter();
            all.map(|sample| (sample.name.clone(), sample.labels.clone())).collect()
        };
        assert_eq!(series(&idle), series(&busy), "a rate needs the zero before the first event");
    });
}

#[test]
fn no_key_is_published() {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let scene = Scene::new();
        scene.work();
        let held = scene.users.lock("hopper@example.com").wait();
        scene.publisher.publish();
        let text = handle.render();
        assert!(!text.contains("example.com") && !text.contains("ada"), "{text}");
        drop(held);
    });
}

/// The exporter can add units and endings to names: ours have them already.
#[test]
fn names_stay_as_documented_when_the_exporter_completes_them() {
    let builder = PrometheusBuilder::new().with_recommended_naming(true).set_buckets(BUCKETS);
    let recorder = builder.expect("there are buckets").build_recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let scene = Scene::new();
        scene.work();
        let shown = scraped(&handle, &scene.publisher);
        assert!(shown.types.keys().eq(table::names().iter().map(|row| &row.name).collect::<BTreeSet<_>>()));
    });
}

#[test]
fn units_are_those_of_the_table() {
    use metrics_util::debugging::DebuggingRecorder;

    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let scene = Scene::new();
        scene.work();
        scene.publisher.publish();
    });
    let rows = table::names();
    let mut seen = BTreeSet::new();
    for (key, unit, text, _) in snapshots.snapshot().into_vec() {
        let name = key.key().name().to_owned();
        let row = rows.iter().find(|row| row.name == name).expect("it is documented");
        assert_eq!(unit.expect("it has one").as_str(), row.unit, "{name}");
        assert_eq!(text.as_deref(), Some(row.what.as_str()), "{name}");
        seen.insert(name);
    }
    assert_eq!(seen.len(), rows.len());
}

#[test]
fn a_recorder_that_comes_later_gets_the_counters_all_the_same() {
    let users = Arc::new(KeyedLock::<u32>::builder().name("users").build());
    let publisher = Publisher::new().keyed_lock(&users);
    drop(users.lock(1).wait());
    publisher.publish(); // to nobody
    let recorder = recorder();
    let handle = recorder.handle();
    let shown = metrics::with_local_recorder(&recorder, || scraped(&handle, &publisher));
    assert_eq!(shown.value("latchwork_lock_acquired_total", &[("lock", "users")]), 1.0);
}

/// Counts something that this crate does not know.
struct Letters(AtomicU64);

impl Source for Letters {
    fn publish(&self) {
        metrics::counter!("letters_total", "box" => "red").absolute(self.0.load(Ordering::Relaxed));
    }
}

#[test]
fn whatever_is_a_source_is_published_too() {
    let recorder = recorder();
    let handle = recorder.handle();
    let publisher =
        Publisher::new().source(Letters(AtomicU64::new(3))).source(|| metrics::gauge!("cards").set(7.0));
    let shown = metrics::with_local_recorder(&recorder, || scraped(&handle, &publisher));
    assert_eq!(shown.value("letters_total", &[("box", "red")]), 3.0);
    assert_eq!(shown.value("cards", &[]), 7.0);
    assert!(format!("{publisher:?}").contains("sources: 2"));
}

#[test]
fn two_things_of_a_kind_cant_have_one_name() {
    let users = Arc::new(KeyedLock::<u32>::builder().name("same").build());
    let seats = Arc::new(KeyedLock::<u32>::builder().name("same").build_semaphore(1));
    let (stats, budget) = (Arc::new(RetryStats::new()), Arc::new(Budget::new(1)));
    let policy = RetryPolicy::new().name("same").stats(&stats);
    let publisher = || Publisher::new().keyed_lock(&users).retry_policy(&policy).budget("same", &budget);
    publisher().publish();
    let taken = |label, how| {
        format!("{label} \"same\" is published already: give one of them another name with {how}")
    };
    assert_eq!(panic_of(|| publisher().keyed_lock(&users)), taken("lock", "KeyedLock::builder().name(..)"));
    assert_eq!(
        panic_of(|| publisher().keyed_semaphore(&seats)),
        taken("lock", "KeyedLock::builder().name(..)")
    );
    assert_eq!(panic_of(|| publisher().retry_policy(&policy)), taken("policy", "RetryPolicy::name(..)"));
    assert_eq!(
        panic_of(|| publisher().retry_stats("same", &stats)),
        taken("policy", "Publisher::retry_stats(name, ..)")
    );
    assert_eq!(
        panic_of(|| publisher().budget("same", &budget)),
        taken("budget", "Publisher::budget(name, ..)")
    );
    let flights = SingleFlight::<u32, u32>::new().named("same");
    let pages = CoalesceLayer::<String, _>::new(ByPath).name("same");
    let flying = || publisher().single_flight(&flights);
    flying().publish();
    assert_eq!(panic_of(|| flying().single_flight(&flights)), taken("flight", "SingleFlight::named(..)"));
    assert_eq!(panic_of(|| flying().coalesce_layer(&pages)), taken("flight", "CoalesceLayer::name(..)"));
    let plans = KeyedLockLayer::new(Arc::new(KeyedLock::new()), ByPath).name("same");
    let layer = || publisher().keyed_lock_layer(&plans);
    assert_eq!(panic_of(|| layer().keyed_lock_layer(&plans)), taken("layer", "KeyedLockLayer::name(..)"));
}

#[test]
fn what_has_no_name_is_refused_when_the_service_is_set_up() {
    let lock = Arc::new(KeyedLock::<u32>::new());
    let text = panic_of(|| Publisher::new().keyed_lock(&lock));
    assert_eq!(
        text,
        "the lock has no name to be published by: give it one with KeyedLock::builder().name(..)"
    );
    let seats = Arc::new(KeyedSemaphore::<u32>::new(1));
    assert!(panic_of(|| Publisher::new().keyed_semaphore(&seats)).contains("no name"));
    assert!(
        panic_of(|| Publisher::new().single_flight(&SingleFlight::<u32, u32>::new())).contains("no name")
    );
    let pages = CoalesceLayer::<String, _>::new(ByPath);
    assert!(panic_of(|| Publisher::new().coalesce_layer(&pages)).contains("no name"));
    assert!(panic_of(|| KeyedLock::<u32>::builder().publish_times().build()).contains("no name"));
    let plans = KeyedLockLayer::new(Arc::new(KeyedLock::new()), ByPath);
    let text = panic_of(|| Publisher::new().keyed_lock_layer(&plans));
    assert_eq!(text, "the layer has no name to be published by: give it one with KeyedLockLayer::name(..)");
    let policy = RetryPolicy::new().name("save card");
    assert!(panic_of(|| Publisher::new().retry_policy(&policy)).contains("counts nothing"));
    // A policy always has a name, and two cannot share it.
    let stats = Arc::new(RetryStats::new());
    let policy = RetryPolicy::new().stats(&stats);
    let text = panic_of(|| Publisher::new().retry_policy(&policy).retry_policy(&policy));
    assert!(text.starts_with("policy \"retry\" is published already: give one of them"), "{text}");
}

#[test]
fn a_layer_and_the_times_take_the_name_of_their_lock() {
    let recorder = recorder();
    let handle = recorder.handle();
    let shown = metrics::with_local_recorder(&recorder, || {
        // The name may come after the times.
        let locks: Arc<KeyedLock<String>> =
            Arc::new(KeyedLock::builder().publish_times().name("accounts").build());
        drop(locks.lock("ada").wait());
        let layer = KeyedLockLayer::new(locks.clone(), ByPath);
        scraped(&handle, &Publisher::new().keyed_lock(&locks).keyed_lock_layer(&layer))
    });
    assert_eq!(shown.value("latchwork_lock_acquired_total", &[("lock", "accounts")]), 1.0);
    assert_eq!(shown.value("latchwork_lock_hold_seconds_count", &[("lock", "accounts")]), 1.0);
    let requests = [("layer", "accounts"), ("outcome", "acquired")];
    assert_eq!(shown.value("latchwork_layer_requests_total", &requests), 0.0);
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_task_publishes_at_once_and_in_every_period() {
    let published = Arc::new(AtomicU64::new(0));
    let count = published.clone();
    let publisher = Publisher::new().source(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let task = tokio::spawn(async move { publisher.publish_every(Duration::from_secs(10)).await });
    tokio::time::sleep(Duration::from_secs(35)).await;
    assert_eq!(published.load(Ordering::Relaxed), 4);
    task.abort();
    assert!(task.await.is_err_and(|error| error.is_cancelled()));
}

#[test]
fn a_publisher_is_read_while_locks_are_in_use() {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let scene = Scene::new();
        let (users, saves) = (&scene.users, &scene.saves);
        std::thread::scope(|s| {
            let workers = [0, 1].map(|worker| {
                s.spawn(move || {
                    let policy = RetryPolicy::new().stats(saves);
                    for round in 0..2000 {
                        let _guard = users.lock((worker + round % 2).to_string()).wait();
                        assert!(policy.run_blocking(|_| Ok::<_, latchwork::Busy>(())).is_ok());
                    }
                })
            });
            let mut last = 0.0;
            until(|| users.counts().acquired > 0);
            while !workers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                let shown = scraped(&handle, &scene.publisher);
                let acquired = shown.value("latchwork_lock_acquired_total", &[("lock", "users")]);
                assert!(acquired >= last, "a counter falls");
                last = acquired;
            }
        });
        let shown = scraped(&handle, &scene.publisher);
        assert_eq!(shown.value("latchwork_lock_acquired_total", &[("lock", "users")]), 4000.0);
        assert_eq!(shown.value("latchwork_lock_hold_seconds_count", &[("lock", "users")]), 4000.0);
        assert_eq!(shown.value("latchwork_retry_attempts_total", &[("policy", "save card")]), 4000.0);
    });
}
