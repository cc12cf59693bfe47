//! The alert rules of the business cards: none fires under a calm load, each of them in a storm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use latchwork::layer::Mode;
use latchwork::publish::{Publisher, Source};
use latchwork::{
    KeyedLock, RetryPolicy, SingleFlight,
    retry::{Budget, RetryStats, VirtualClock},
    verdict::{RetryKind, Verdict},
};
use serde::Deserialize;

use super::exposition::Exposition;
use super::promql::Scrapes;
use super::sales::Sales;
use super::scene::{Plans, recorder};
use super::table;
use crate::support::Hand;

const RULES: &str = include_str!("../../../src/docs/alerts.yml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(default, rename = "for")]
    held_for: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn rules() -> Vec<Rule> {
    let file: File = serde_saphyr::from_str(RULES).expect("it has the form of a rules file");
    let groups: BTreeSet<_> = file.groups.iter().map(|group| group.name.clone()).collect();
    assert_eq!(groups.len(), file.groups.len(), "groups have names of their own");
    file.groups.into_iter().flat_map(|group| group.rules).collect()
}

type ByKind = fn(&RetryKind) -> Verdict;

const POLICIES: [&str; 5] = ["create a card", "edit a card", "count a view", "put a profile", "send a mail"];

/// What locks over a database count. There is none here: how they publish it is with the tests of databases.
const LEASE_COUNTERS: [&str; 5] = ["granted", "batches", "lost", "unavailable", "connections"];

#[derive(Clone, Default)]
struct Leases(Arc<[AtomicU64; LEASE_COUNTERS.len()]>);

impl Leases {
    fn count(&self, counts: [u64; LEASE_COUNTERS.len()]) {
        for (counter, count) in self.0.iter().zip(counts) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }
}

impl Source for Leases {
    fn publish(&self) {
        for (name, counter) in LEASE_COUNTERS.iter().zip(&*self.0) {
            let name = format!("latchwork_lease_{name}_total");
            metrics::counter!(name, "lock" => "jobs").absolute(counter.load(Ordering::Relaxed));
        }
    }
}

/// The parts of the service that are watched.
struct Service {
    locks: Arc<KeyedLock<u32>>,
    stats: BTreeMap<&'static str, Arc<RetryStats>>,
    budget: Arc<Budget>,
    slug_failures: Arc<AtomicU64>,
    reads: SingleFlight<u32, u32>,
    plans: Plans,
    sales: Sales,
    leases: Leases,
    publisher: Publisher,
}

impl Service {
    fn new() -> Self {
        let locks = Arc::new(KeyedLock::builder().name("cards").publish_times().build());
        let budget = Arc::new(Budget::new(100).refill_per_second(0));
        let slug_failures = Arc::new(AtomicU64::new(0));
        let failures = slug_failures.clone();
        let reads = SingleFlight::default().named("cards");
        let (plans, sales, leases) = (Plans::new(), Sales::new(), Leases::default());
        let mut publisher = Publisher::new()
            .keyed_lock(&locks)
            .budget("file", &budget)
            .single_flight(&reads)
            .keyed_lock_layer(&plans.layer)
            .scope(&sales.scope)
            .source(leases.clone())
            .source(move || {
                let failures = failures.load(Ordering::Relaxed);
                metrics::counter!("business_cards_slug_failures_total").absolute(failures);
            });
        let stats = BTreeMap::from(POLICIES.map(|name| (name, Arc::default())));
        for (name, stats) in &stats {
            publisher = publisher.retry_stats(name, stats);
        }
        Self { locks, stats, budget, slug_failures, reads, plans, sales, leases, publisher }
    }

    /// One call whose first attempts fail.
    fn call(&self, policy: &'static str, failures: u32, kind: RetryKind) -> bool {
        let by_kind: ByKind = |kind| match kind {
            RetryKind::Throttled => Verdict::RetryAfter(*kind, Duration::from_secs(3_600)),
            _ => Verdict::Retry(*kind),
        };
        let calls = RetryPolicy::new()
            .clock(VirtualClock::new())
            .retry_kind(RetryKind::UniqueViolation, true)
            .budget(&self.budget)
            .stats(&self.stats[policy])
            .classify_with(by_kind);
        calls.run_blocking(|attempt| if attempt.number() <= failures { Err(kind) } else { Ok(()) }).is_ok()
    }

    /// What goes wrong now and then, and passes.
    fn calm(&self) {
        for policy in POLICIES {
            for number in 0..500 {
                let failures = u32::from(number % 50 == 0);
                assert!(self.call(policy, failures, RetryKind::VersionConflict));
            }
        }
        for _ in 0..300 {
            assert!(self.call("create a card", 1, RetryKind::UniqueViolation), "the second slug is free");
        }
        assert!(self.call("count a view", 1, RetryKind::Transient));
        let _first_click = self.plans.locks.try_lock("/ada");
        for user in 0..200 {
            assert_eq!(self.plans.ask(if user % 10 == 0 { "/ada" } else { "/grace" }) == 409, user % 10 == 0);
        }
        assert_eq!(self.plans.ask("/%FF"), 400);
        for number in 0..100 {
            self.sales.sell(u32::from(number % 20 == 0));
        }
        self.sales.abandon();
        self.leases.count([1000, 1500, 0, 0, 1]);
        for key in 0..1000 {
            assert!(self.reads.run_blocking(key, || key).led);
            let guard = self.locks.lock(key).wait();
            if key % 10 == 0 {
                assert!(self.locks.try_lock(key).is_err());
            }
            let mut waiter = (key % 2 == 0).then(|| Hand::queued(self.locks.lock(key)));
            if key == 500 {
                assert!(self.locks.lock(key).wait_timeout(Duration::ZERO).is_err());
            }
            drop(guard);
            drop(waiter.as_mut().and_then(Hand::poll_while_woken));
        }
    }

    /// Everything at once. What it returns are those who still wait when it is looked at.
    fn storm(&self) -> impl Sized + use<> {
        for _ in 0..100 {
            assert!(self.call("edit a card", 3, RetryKind::VersionConflict));
        }
        for _ in 0..20 {
            if !self.call("create a card", 4, RetryKind::UniqueViolation) {
                self.slug_failures.fetch_add(1, Ordering::Relaxed);
            }
            assert!(!self.call("put a profile", 4, RetryKind::Transient));
            assert!(!self.call("send a mail", 1, RetryKind::Throttled));
        }
        let _first_click = self.plans.locks.try_lock("/ada");
        for path in ["/ada", "/grace", "/%FF"] {
            self.plans.ask(path);
        }
        self.plans.mode.set(Mode::Off);
        assert_eq!(self.plans.ask("/ada"), 200);
        for _ in 0..10 {
            self.sales.sell(2);
            self.sales.abandon();
        }
        self.sales.starve();
        self.sales.pass(Mode::Off);
        self.sales.pass(Mode::Observe);
        // As if a server had gone while it committed.
        metrics::counter!("latchwork_scope_ended_total", "scope" => "sales", "ending" => "commit_unknown")
            .increment(1);
        self.leases.count([10, 100, 1, 5, 20]);
        let guard = self.locks.lock_owned(1).wait();
        for _ in 0..50 {
            assert!(self.locks.try_lock(1).is_err());
        }
        for _ in 0..10 {
            assert!(self.locks.lock(1).wait_timeout(Duration::ZERO).is_err());
        }
        let waiters: Vec<_> = (0..30).map(|_| Hand::queued(self.locks.lock_owned(1))).collect();
        // As if they had taken so long: the same histograms, without the wait.
        metrics::histogram!("latchwork_lock_wait_seconds", "lock" => "cards").record(3.0);
        metrics::histogram!("latchwork_lock_hold_seconds", "lock" => "cards").record(4.0);
        (guard, waiters)
    }
}

/// Two scrapes, five minutes apart, with a load in between.
fn scrapes<R>(load: impl Fn(&Service) -> R) -> Scrapes {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::with_local_recorder(&recorder, || {
        let service = Service::new();
        let scrape = || {
            service.publisher.publish();
            Exposition::parse(&handle.render())
        };
        let before = scrape();
        let left = load(&service);
        let after = scrape();
        drop(left);
        Scrapes { before, after, apart: Duration::from_secs(300) }
    })
}

#[test]
fn no_alert_fires_under_a_calm_load() {
    let calm = scrapes(Service::calm);
    for rule in rules() {
        let firing = calm.ask(&rule.expr).unwrap_or_else(|error| panic!("{}: {error}", rule.alert));
        assert!(firing.is_empty(), "{} fires: {firing:?}", rule.alert);
    }
}

#[test]
fn each_alert_fires_in_a_storm() {
    let storm = scrapes(Service::storm);
    let mut fired: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for rule in rules() {
        let firing = storm.ask(&rule.expr).unwrap_or_else(|error| panic!("{}: {error}", rule.alert));
        assert!(!firing.is_empty(), "{} does not fire", rule.alert);
        for (labels, _) in &firing {
            for text in rule.annotations.values() {
                for used in text.split("$labels.").skip(1) {
                    let label: String =
                        used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                    assert!(labels.contains_key(&label), "{}: there is no {label}", rule.alert);
                }
            }
        }
        let about = firing.into_iter().map(|(labels, _)| labels.into_values().collect::<String>());
        fired.insert(rule.alert, about.collect());
    }
    // It is the one that is in trouble.
    assert_eq!(fired["ConflictRateHigh"], ["edit a card"]);
    assert_eq!(fired["MeanAttemptsHigh"], ["create a card", "edit a card"]);
    assert_eq!(fired["CallsFailAfterRetries"], ["create a card", "put a profile", "send a mail"]);
    assert_eq!(fired["RetryBudgetNearlyEmpty"], ["file"]);
    assert_eq!(fired["RetriesRefusedByBudget"], ["put a profile"]);
    assert_eq!(fired["RequestsRefused"], ["plans"]);
    assert_eq!(fired["TransactionsRepeated"], ["sales"]);
    assert_eq!(fired["CommitsUnknown"], ["sales"]);
    assert_eq!(fired["LeasesLost"], ["jobs"]);
}

#[test]
fn nothing_at_all_fires_no_alert() {
    let idle = scrapes(|_| ());
    for rule in rules() {
        assert_eq!(idle.ask(&rule.expr), Ok(Vec::new()), "{}", rule.alert);
    }
}

#[test]
fn each_rule_says_how_bad_it_is_and_what_to_do() {
    let rules = rules();
    let names: BTreeSet<_> = rules.iter().map(|rule| &rule.alert).collect();
    assert_eq!(names.len(), rules.len(), "alerts have names of their own");
    for expected in ["ConflictRateHigh", "SlugsNotFound", "MeanAttemptsHigh"] {
        assert!(names.iter().any(|name| *name == expected), "{expected} is missing");
    }
    for rule in &rules {
        assert!(matches!(rule.labels["severity"].as_str(), "warning" | "critical"), "{}", rule.alert);
        assert!(rule.annotations.keys().eq(["description", "summary"]), "{}", rule.alert);
        let minutes =
            rule.held_for.as_ref().map(|held| held.strip_suffix('m').expect("minutes").parse::<u32>());
        assert!(minutes.is_none_or(|minutes| minutes.is_ok()), "{}", rule.alert);
    }
}

#[test]
fn the_questions_of_the_documentation_have_answers() {
    let calm = scrapes(Service::calm);
    for question in table::questions() {
        let answers = calm.ask(&question).unwrap_or_else(|error| panic!("{question}: {error}"));
        assert!(!answers.is_empty(), "{question}");
    }
}
