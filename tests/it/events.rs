//! Tracing events of keyed locks, retries and blocked workers.
//!
//! `tracing` remembers of each place in the code whether a subscriber wants it, and a thread without a subscriber may be the
//! first at that place. So each test runs in a process of its own, in which every thread has one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use latchwork::{
    KeyedLock, RetryPolicy,
    keyed::KeyedBuilder,
    retry::{Jitter, VirtualClock},
    verdict::{RetryKind, Verdict},
};
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::support::{Hand, alone, no_hang, panic_of, until};

/// One event: its level, its message and its other fields.
#[derive(Clone, Debug)]
struct Seen {
    level: Level,
    message: String,
    fields: BTreeMap<String, String>,
}

impl Seen {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

/// Keeps what it sees, and then does something.
struct Capture<A> {
    seen: Arc<Mutex<Vec<Seen>>>,
    least: Level,
    act: A,
}

impl<S: Subscriber, A: Fn() + Send + Sync + 'static> Layer<S> for Capture<A> {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.least
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        let message = fields.remove("message").unwrap_or_default();
        let seen = Seen { level: *event.metadata().level(), message, fields };
        self.seen.lock().expect("it is not poisoned").push(seen);
        (self.act)();
    }
}

/// What this thread emits while `f` runs.
fn captured(least: Level, act: impl Fn() + Send + Sync + 'static, f: impl FnOnce()) -> Vec<Seen> {
    let seen = Arc::default();
    let capture = Capture { seen: Arc::clone(&seen), least, act };
    let guard = tracing_subscriber::registry().with(capture).set_default();
    f();
    drop(guard);
    seen.lock().expect("it is not poisoned").split_off(0)
}

fn builder() -> KeyedBuilder<String> {
    KeyedLock::builder()
}

fn shown() -> KeyedBuilder<String> {
    builder().show_keys(|key, f| write!(f, "<{key}>"))
}

#[test]
fn grants_and_releases_are_debug_and_refusals_are_warnings() {
    alone("events::grants_and_releases_are_debug_and_refusals_are_warnings", || {
        let keys = builder().build();
        let mut fences = Vec::new();
        let seen = captured(
            Level::TRACE,
            || (),
            || {
                let guard = keys.lock("ada").wait();
                fences.push(guard.fence().to_string());
                assert!(keys.try_lock("ada").is_err());
                drop(guard);
            },
        );
        let shapes: Vec<_> = seen.iter().map(|event| (event.level, event.message.as_str())).collect();
        assert_eq!(
            shapes,
            [(Level::DEBUG, "acquired"), (Level::WARN, "rejected"), (Level::DEBUG, "released")]
        );
        assert_eq!(seen[0].field("fence"), Some(fences[0].as_str()));
        assert_eq!(
            (seen[1].field("holder"), seen[1].field("waiters")),
            (Some(fences[0].as_str()), Some("0"))
        );
        assert_eq!(seen[2].field("fence"), Some(fences[0].as_str()));
    });
}

#[test]
fn keys_are_shown_only_as_the_builder_says() {
    alone("events::keys_are_shown_only_as_the_builder_says", || {
        let everything = |keys: KeyedLock<String>| {
            captured(
                Level::TRACE,
                || (),
                || {
                    let guard = keys.lock("ada").wait();
                    assert!(keys.try_lock("ada").is_err() && keys.try_lock(String::from("ada")).is_err());
                    assert!(keys.try_lock_many(["bob", "ada"]).is_err());
                    drop(guard);
                    drop(keys.lock_many(["ada"]).wait());
                },
            )
        };
        let secret = everything(builder().build());
        assert_eq!(secret.len(), 7);
        assert!(secret.iter().all(|event| event.field("key").is_none()));
        assert!(!format!("{secret:?}").contains("ada"));
        let open = everything(shown().build());
        let keys: Vec<_> = open.iter().map(|event| event.field("key").unwrap_or("none")).collect();
        // Sorted: "ada" is held, so "bob" is not even tried.
        assert_eq!(keys.iter().filter(|key| **key == "<ada>").count(), keys.len(), "{keys:?}");
    });
}

#[test]
fn times_are_told_if_they_are_tracked() {
    alone("events::times_are_told_if_they_are_tracked", || {
        let pause = Duration::from_millis(2);
        let waits = |keys: KeyedLock<String>| {
            captured(
                Level::DEBUG,
                || (),
                || {
                    let guard = keys.lock("ada").wait();
                    let mut waiter = Hand::queued(keys.lock("ada"));
                    thread::sleep(pause);
                    drop(guard);
                    drop(waiter.poll().expect("it was told"));
                },
            )
        };
        let untracked = waits(builder().long_wait(Duration::ZERO).build());
        assert_eq!(untracked.len(), 4);
        assert!(
            untracked
                .iter()
                .all(|event| event.field("waited_us").is_none() && event.field("held_us").is_none())
        );

        let tracked = waits(shown().track_times(true).long_wait(pause).build());
        let messages: Vec<_> = tracked.iter().map(|event| event.message.as_str()).collect();
        assert_eq!(messages, ["acquired", "released", "acquired", "long wait", "released"]);
        let micros = |event: &Seen, name: &str| event.field(name).map(|text| text.parse().expect("a number"));
        assert_eq!(micros(&tracked[0], "waited_us"), None, "it did not wait");
        assert!(micros(&tracked[1], "held_us") >= Some(2000_u64));
        assert!(micros(&tracked[2], "waited_us") >= Some(2000_u64));
        assert_eq!(
            (tracked[3].level, micros(&tracked[3], "waited_us")),
            (Level::WARN, micros(&tracked[2], "waited_us"))
        );
        assert_eq!(tracked[3].field("key"), Some("<ada>"));

        let patient = waits(builder().track_times(true).long_wait(Duration::from_secs(3600)).build());
        assert!(patient.iter().all(|event| event.level == Level::DEBUG));
    });
}

#[test]
fn what_is_not_enabled_is_not_emitted() {
    alone("events::what_is_not_enabled_is_not_emitted", || {
        let keys = shown().build();
        let seen = captured(
            Level::WARN,
            || (),
            || {
                let guard = keys.lock("ada").wait();
                assert!(keys.try_lock("ada").is_err());
                drop(guard);
            },
        );
        assert_eq!(seen.iter().map(|event| event.message.as_str()).collect::<Vec<_>>(), ["rejected"]);
        assert!(captured(Level::ERROR, || (), || drop(keys.lock("ada").wait())).is_empty());
    });
}

#[test]
fn a_subscriber_may_use_the_table_of_which_it_is_told() {
    alone("events::a_subscriber_may_use_the_table_of_which_it_is_told", || {
        no_hang(|| {
            // One shard, so that any key would meet an internal lock.
            let keys: Arc<KeyedLock<String>> = Arc::new(shown().shards(1).build());
            let each_event = || {
                let guard = keys.lock("ada").wait();
                let mut waiter = Hand::queued(keys.lock("ada"));
                assert!(keys.try_lock("ada").is_err());
                drop(guard);
                drop(waiter.poll_while_woken().expect("it was told"));
                drop(keys.lock_many(["ada", "bob"]).wait());
            };
            let (own, active) = (keys.clone(), Arc::new(AtomicBool::new(false)));
            let acts = active.clone();
            let act = move || {
                if acts.swap(false, Ordering::SeqCst) {
                    drop((own.len(), own.snapshot(), own.counts(), own.is_locked("ada")));
                    drop(own.try_lock("ada"));
                    drop(own.lock("another").wait());
                    drop(own.lock_many(["x", "y"]).wait());
                    acts.store(true, Ordering::SeqCst);
                }
            };
            let seen = captured(Level::TRACE, act, || {
                // A place in the code that a subscriber itself comes to first stays silent for ever.
                each_event();
                active.store(true, Ordering::SeqCst);
                each_event();
            });
            // What is emitted within a subscriber goes nowhere.
            assert_eq!(seen.len(), 2 * 9, "{seen:?}");
            assert!(keys.is_empty());
        });
    });
}

#[test]
fn a_way_to_show_keys_may_use_their_table() {
    alone("events::a_way_to_show_keys_may_use_their_table", || {
        use std::sync::OnceLock;
        static KEYS: OnceLock<KeyedLock<String>> = OnceLock::new();
        no_hang(|| {
            let keys = KEYS.get_or_init(|| {
                KeyedLock::builder()
                    .shards(1)
                    .show_keys(|key, f| {
                        let keys = KEYS.get().expect("it is made by now");
                        write!(f, "{key} of {}", keys.len())
                    })
                    .build()
            });
            let seen = captured(
                Level::TRACE,
                || (),
                || {
                    let _guard = keys.lock("ada").wait();
                    assert!(keys.try_lock("ada").is_err());
                },
            );
            assert!(seen.iter().all(|event| event.field("key") == Some("ada of 1")), "{seen:?}");
        });
    });
}

#[test]
fn a_released_event_comes_before_the_next_ones_acquired_event() {
    alone("events::a_released_event_comes_before_the_next_ones_acquired_event", || {
        let keys = builder().build();
        let seen = captured(
            Level::DEBUG,
            || (),
            || {
                let guard = keys.lock("ada").wait();
                let mut waiter = Hand::queued(keys.lock("ada"));
                drop(guard);
                drop(waiter.poll());
            },
        );
        let messages: Vec<_> = seen.iter().map(|event| event.message.as_str()).collect();
        assert_eq!(messages, ["acquired", "released", "acquired", "released"]);
    });
}

#[test]
fn a_panic_while_a_release_is_reported_releases_all_the_same() {
    alone("events::a_panic_while_a_release_is_reported_releases_all_the_same", || {
        let armed = Arc::new(AtomicBool::new(false));
        let act = {
            let armed = armed.clone();
            move || assert!(!armed.swap(false, Ordering::SeqCst), "a subscriber that panics")
        };
        let keys = KeyedLock::<u32>::new();
        captured(Level::DEBUG, act, || {
            let guard = keys.lock(1).wait();
            let mut waiter = Hand::queued(keys.lock(1));
            armed.store(true, Ordering::SeqCst);
            assert_eq!(panic_of(|| drop(guard)), "a subscriber that panics");
            assert!(waiter.poll_while_woken().is_some());
            armed.store(true, Ordering::SeqCst);
            assert_eq!(panic_of(|| keys.try_lock(1).is_ok()), "a subscriber that panics");
            armed.store(true, Ordering::SeqCst);
            assert_eq!(panic_of(|| keys.lock_many([1, 2]).wait().len()), "a subscriber that panics");
        });
        assert!(keys.is_empty());
    });
}

/// The "acquired" event panics, the guard that was just made is dropped, and its "released" event
/// panics while the thread unwinds: the process is aborted.
#[test]
fn a_way_to_show_keys_that_panics_keeps_no_key() {
    alone("events::a_way_to_show_keys_that_panics_keeps_no_key", || {
        let keys: KeyedLock<u32> = KeyedLock::builder().show_keys(|_, _| panic!("it can't be shown")).build();
        captured(
            Level::DEBUG,
            || (),
            || {
                assert_eq!(panic_of(|| keys.try_lock(1).is_ok()), "it can't be shown");
                assert_eq!(panic_of(|| keys.lock(1).wait().is_shared()), "it can't be shown");
            },
        );
        assert!(keys.is_empty());
    });
}

#[test]
fn each_retry_is_told_before_its_wait_and_the_last_failure_is_not() {
    alone("events::each_retry_is_told_before_its_wait_and_the_last_failure_is_not", || {
        let policy = RetryPolicy::new().name("save card").jitter(Jitter::None).clock(VirtualClock::new());
        let policy = policy.max_attempts(3).classify_with(|_: &()| Verdict::Retry(RetryKind::Throttled));
        let seen =
            captured(Level::TRACE, || (), || assert!(policy.run_blocking(|_| Err::<(), _>(())).is_err()));
        let told = |attempt: &str, wait: &str| {
            let fields =
                [("attempt", attempt), ("kind", "Throttled"), ("name", "\"save card\""), ("wait_us", wait)];
            fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
        };
        assert!(seen.iter().all(|event| event.level == Level::DEBUG && event.message == "retrying"));
        let fields: Vec<_> = seen.into_iter().map(|event| event.fields).collect();
        assert_eq!(fields, [told("1", "1000000"), told("2", "2000000")]);
    });
}

#[test]
fn an_attempt_without_its_lock_is_a_warning() {
    alone("events::an_attempt_without_its_lock_is_a_warning", || {
        let policy = RetryPolicy::new().name("save card").clock(VirtualClock::new());
        let locks = Arc::new(KeyedLock::<u32>::new());
        let _in_the_way = locks.try_lock(7).expect("it is free");
        let change = policy.retry_on_conflict_blocking(|_| Ok::<_, latchwork::Busy>(()), Ok, |()| Ok(()));
        let change = change.escalate_after(0, &locks, 7).lock_timeout(Duration::ZERO);
        let seen = captured(Level::WARN, || (), || assert!(change.run_blocking().is_ok()));
        let fields =
            [("attempt", "1"), ("error", "timed out waiting for the lock"), ("name", "\"save card\"")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let seen: Vec<_> =
            seen.into_iter().filter(|event| event.message == "attempt without its lock").collect();
        assert_eq!(
            seen.into_iter().map(|event| (event.level, event.fields)).collect::<Vec<_>>(),
            [(Level::WARN, fields)]
        );
    });
}

#[test]
fn tasks_that_block_their_workers_are_a_warning_when_they_are_many_and_when_they_have_doubled() {
    alone(
        "events::tasks_that_block_their_workers_are_a_warning_when_they_are_many_and_when_they_have_doubled",
        || {
            const TASKS: usize = 130;
            let seen = Arc::<Mutex<Vec<Seen>>>::default();
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .max_blocking_threads(TASKS + 1)
                .build()
                .expect("a runtime starts");
            for warnings in [&["64", "128"][..], &[]] {
                let lock = Arc::new(latchwork::RwLock::new(()));
                let held = lock.clone().write_owned().wait();
                let tasks: Vec<_> = (0..TASKS)
                    .map(|_| {
                        let lock = lock.clone();
                        let capture = Capture { seen: seen.clone(), least: Level::WARN, act: || () };
                        runtime.spawn(async move {
                            let _seen = tracing_subscriber::registry().with(capture).set_default();
                            drop(lock.read().wait());
                        })
                    })
                    .collect();
                no_hang(move || {
                    until(|| lock.try_read().is_err_and(|busy| busy.waiters == TASKS));
                    drop(held);
                });
                for task in tasks {
                    runtime.block_on(task).expect("it gets the lock");
                }
                let seen = seen.lock().expect("it is not poisoned").split_off(0);
                let parked: Vec<_> = seen.iter().filter_map(|event| event.field("parked")).collect();
                assert_eq!(parked, warnings, "once for each number: {seen:?}");
                assert!(
                    seen.iter()
                        .all(|event| event.level == Level::WARN
                            && event.message.contains("block their workers"))
                );
            }
        },
    );
}
