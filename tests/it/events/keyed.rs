//! Events of grants, releases and refusals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use latchwork::KeyedLock;
use tracing::Level;

use super::capture::{builder, captured, shapes, shown};
use crate::support::{Hand, alone, no_hang, panic_of};

#[test]
fn grants_releases_and_refusals_are_debug() {
    alone("events::keyed::grants_releases_and_refusals_are_debug", || {
        let keys = builder().name("accounts").build();
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
        let told = ["acquired", "rejected", "released"].map(|message| (Level::DEBUG, message));
        assert_eq!(shapes(&seen), told);
        assert!(seen.iter().all(|event| event.field("lock") == Some("\"accounts\"")), "{seen:?}");
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
    alone("events::keyed::keys_are_shown_only_as_the_builder_says", || {
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
fn two_locks_of_one_handler_can_be_told_apart() {
    alone("events::keyed::two_locks_of_one_handler_can_be_told_apart", || {
        let accounts = builder().name("accounts").build();
        let cards = KeyedLock::<String>::builder().name("cards").build_semaphore(1);
        let nameless = builder().build();
        let seen = captured(
            Level::DEBUG,
            || (),
            || {
                let _guards = (accounts.lock("ada").wait(), cards.acquire("ada").wait());
                assert!(accounts.try_lock("ada").is_err() && cards.try_acquire("ada").is_err());
                drop(nameless.lock("ada").wait());
            },
        );
        let locks: Vec<_> = seen.iter().map(|event| event.field("lock").unwrap_or("")).collect();
        let (accounts, cards) = ("\"accounts\"", "\"cards\"");
        assert_eq!(locks, [accounts, cards, accounts, cards, "", "", accounts, cards]);
    });
}

#[test]
fn holds_are_told_if_times_are_tracked_and_waits_always() {
    alone("events::keyed::holds_are_told_if_times_are_tracked_and_waits_always", || {
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
        for track in [false, true] {
            let seen = waits(builder().track_times(track).build());
            let told =
                ["acquired", "released", "acquired", "released"].map(|message| (Level::DEBUG, message));
            assert_eq!(shapes(&seen), told);
            assert_eq!(seen[0].number("waited_us"), None, "it did not wait");
            assert!(seen[2].number("waited_us") >= Some(2000));
            let held = seen[1].number("held_us");
            assert!(if track { held >= Some(2000) } else { held.is_none() });
        }
    });
}

#[test]
fn what_is_not_enabled_is_not_emitted() {
    alone("events::keyed::what_is_not_enabled_is_not_emitted", || {
        let keys = shown().build();
        let seen = captured(
            Level::INFO,
            || (),
            || {
                let guard = keys.lock("ada").wait();
                assert!(keys.try_lock("ada").is_err());
                assert!(keys.lock("ada").wait_timeout(Duration::ZERO).is_err());
                drop(guard);
            },
        );
        assert!(seen.is_empty(), "{seen:?}");
    });
}

#[test]
fn a_subscriber_may_use_the_table_of_which_it_is_told() {
    alone("events::keyed::a_subscriber_may_use_the_table_of_which_it_is_told", || {
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
    alone("events::keyed::a_way_to_show_keys_may_use_their_table", || {
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
    alone("events::keyed::a_released_event_comes_before_the_next_ones_acquired_event", || {
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
    alone("events::keyed::a_panic_while_a_release_is_reported_releases_all_the_same", || {
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
    alone("events::keyed::a_way_to_show_keys_that_panics_keeps_no_key", || {
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
