//! A wait that lasts is reported while it does, and when it ends.
//!
//! The tests play rounds by hand, and a round reports what is due. Waits with a threshold of zero are due at once.

use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use latchwork::keyed::KeyedBuilder;
use latchwork::provider::{Ask, LockProvider};
use latchwork::{KeyedLock, helper};
use tracing::Level;

use super::capture::{Book, Seen, builder, captured, captured_in, shapes, shown, taken};
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
use crate::support::without_memory_for_threads;
use crate::support::{Hand, alone, alone_with_helper, no_hang, panic_of, until};

/// Each wait is long.
fn impatient(builder: KeyedBuilder<String>) -> KeyedBuilder<String> {
    builder.name("accounts").long_wait(Duration::ZERO)
}

fn debug(f: impl FnOnce()) -> Vec<Seen> {
    captured(Level::DEBUG, || (), f)
}

/// The fields but the duration, which is checked to be there.
fn but_time(event: &Seen) -> BTreeMap<&str, &str> {
    assert!(event.number("waited_us").is_some(), "{event:?}");
    let fields = event.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    fields.filter(|(name, _)| *name != "waited_us").collect()
}

#[test]
fn a_wait_that_lasts_is_a_warning_while_it_lasts_and_its_end_says_how_long_it_took() {
    alone(
        "events::long_waits::a_wait_that_lasts_is_a_warning_while_it_lasts_and_its_end_says_how_long_it_took",
        || {
            let keys = impatient(shown()).build();
            let mut fence = String::new();
            let seen = debug(|| {
                let guard = keys.lock("ada").wait();
                fence = guard.fence().to_string();
                let mut waiter = Hand::queued(keys.lock("ada"));
                helper::round();
                helper::round();
                assert!(waiter.poll().is_none());
                helper::round();
                drop(guard);
                drop(waiter.poll().expect("it was told"));
                helper::round();
            });
            let told = [
                (Level::DEBUG, "acquired"),
                (Level::WARN, "still waiting"),
                (Level::DEBUG, "released"),
                (Level::INFO, "acquired"),
                (Level::DEBUG, "released"),
            ];
            assert_eq!(shapes(&seen), told, "it is reported once, and nothing after its end");
            let fields = [
                ("lock", "\"accounts\""),
                ("key", "<ada>"),
                ("holder", &fence),
                ("waiters", "1"),
                ("others", "0"),
            ];
            assert_eq!(but_time(&seen[1]), BTreeMap::from(fields));
            assert!(seen[3].number("waited_us") >= seen[1].number("waited_us"));
        },
    );
}

#[test]
fn a_wait_is_not_reported_before_its_time() {
    alone("events::long_waits::a_wait_is_not_reported_before_its_time", || {
        let keys = builder().long_wait(Duration::from_secs(3600)).build();
        let forever = builder().long_wait(Duration::MAX).build();
        let seen = debug(|| {
            let guards = (keys.lock("ada").wait(), forever.lock("ada").wait());
            let waiters = (Hand::queued(keys.lock("ada")), Hand::queued(forever.lock("ada")));
            helper::round();
            drop(waiters);
            drop(guards);
        });
        assert_eq!(seen.iter().filter(|event| event.message == "cancelled").count(), 2);
        assert!(seen.iter().all(|event| event.level == Level::DEBUG), "{seen:?}");
        assert!(seen.iter().all(|event| event.message != "still waiting"), "{seen:?}");
    });
}

#[test]
fn a_holder_that_took_its_turn_meanwhile_is_the_one_that_is_named() {
    alone("events::long_waits::a_holder_that_took_its_turn_meanwhile_is_the_one_that_is_named", || {
        let keys = impatient(builder()).build();
        let mut fence = 0;
        let seen = debug(|| {
            let first = keys.lock("ada").wait();
            let _waiters = [Hand::queued(keys.lock("ada")), Hand::queued(keys.lock("ada"))];
            drop(first);
            // A newcomer passes the waiters.
            let second = keys.try_lock("ada").expect("it is free for a newcomer");
            fence = second.fence().get();
            helper::round();
        });
        let waits: Vec<_> = seen.iter().filter(|event| event.message == "still waiting").collect();
        assert_eq!(waits.len(), 2);
        assert!(waits.iter().all(|event| event.number("holder") == Some(fence)), "{waits:?}");
        assert!(waits.iter().all(|event| event.number("waiters") == Some(2)), "{waits:?}");
        assert!(!format!("{seen:?}").contains("ada"), "keys are hidden by default");
    });
}

#[test]
fn a_wait_that_ends_without_a_grant_says_how_it_ended() {
    alone("events::long_waits::a_wait_that_ends_without_a_grant_says_how_it_ended", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime starts");
        let keys = impatient(shown()).build();
        let second = Duration::from_secs(1);
        for (plays, level) in [(0, Level::DEBUG), (1, Level::INFO)] {
            let seen = debug(|| {
                runtime.block_on(async {
                    let _guard = keys.lock("ada").await;
                    let mut limited = Hand::queued(keys.lock("ada").timeout(second));
                    let dropped = Hand::queued(keys.lock("ada").max_waiters(2));
                    (0..plays).for_each(|_| helper::round());
                    // Only one of two is a warning.
                    tokio::time::advance(second).await;
                    assert!(limited.poll().is_some_and(|outcome| outcome.is_err()));
                    drop(dropped);
                    assert!(keys.counts().timed_out > 0 && keys.counts().cancelled > 0);
                });
            });
            let ends: Vec<_> = seen
                .iter()
                .filter(|event| ["timed out", "cancelled"].contains(&event.message.as_str()))
                .collect();
            assert_eq!(
                ends.iter().map(|event| (event.level, event.message.as_str())).collect::<Vec<_>>(),
                [(level, "timed out"), (Level::DEBUG, "cancelled")]
            );
            for event in ends {
                assert_eq!(event.field("lock"), Some("\"accounts\""));
                assert_eq!(event.field("key"), Some("<ada>"));
                assert!(event.number("waited_us").is_some() && event.number("holder").is_some());
            }
        }
    });
}

#[test]
fn a_long_wait_that_is_dropped_is_cancelled_at_the_level_info() {
    alone("events::long_waits::a_long_wait_that_is_dropped_is_cancelled_at_the_level_info", || {
        let keys = impatient(builder()).build();
        let seen = debug(|| {
            let _guard = keys.lock("ada").wait();
            let waiter = Hand::queued(keys.lock("ada"));
            helper::round();
            drop(waiter);
        });
        assert_eq!(shapes(&seen)[1..3], [(Level::WARN, "still waiting"), (Level::INFO, "cancelled")]);
        assert_eq!(seen[2].number("waiters"), Some(0), "those that still wait");
    });
}

#[test]
fn a_crowd_of_long_waits_is_one_warning_and_none_is_kept_from_debug() {
    alone("events::long_waits::a_crowd_of_long_waits_is_one_warning_and_none_is_kept_from_debug", || {
        let keys = impatient(builder()).build();
        let seen = debug(|| {
            let guard = keys.lock("ada").wait();
            let waiters: Vec<_> = (0..100).map(|_| Hand::queued(keys.lock("ada"))).collect();
            helper::round();
            drop(waiters);
            drop(guard);
        });
        let count = |level, message| shapes(&seen).iter().filter(|shape| **shape == (level, message)).count();
        assert_eq!((count(Level::WARN, "still waiting"), count(Level::DEBUG, "still waiting")), (1, 99));
        assert_eq!((count(Level::INFO, "cancelled"), count(Level::DEBUG, "cancelled")), (1, 99));
    });
}

#[test]
fn a_wait_that_another_ones_warning_hid_becomes_a_warning_if_it_lasts_and_the_oldest_first() {
    alone(
        "events::long_waits::a_wait_that_another_ones_warning_hid_becomes_a_warning_if_it_lasts_and_the_oldest_first",
        || {
            no_hang(|| {
                let keys = impatient(shown()).build();
                let book = Book::default();
                let warned = || -> Vec<_> {
                    let seen = book.lock().expect("it is not poisoned");
                    let warnings = seen.iter().filter(|event| event.level == Level::WARN);
                    warnings
                        .map(|event| (event.field("key").map(str::to_owned), event.number("others")))
                        .collect()
                };
                let wait_for = |many| {
                    until(|| {
                        helper::round();
                        warned().len() == many
                    });
                };
                captured_in(
                    &book,
                    Level::DEBUG,
                    || (),
                    || {
                        let _guards = ["ada", "bob", "eve"].map(|key| keys.lock(key).wait());
                        let _slow = Hand::queued(keys.lock("ada"));
                        helper::round();
                        let _stuck = Hand::queued(keys.lock("bob"));
                        helper::round();
                        // They come for the next warning's time, too.
                        let _others: Vec<_> = (0..10).map(|_| Hand::queued(keys.lock("eve"))).collect();
                        wait_for(2);
                        wait_for(3);
                    },
                );
                let expected = [("<ada>", 0), ("<bob>", 11), ("<eve>", 0)];
                assert_eq!(warned(), expected.map(|(key, others)| (Some(key.to_owned()), Some(others))));
                let quiet = taken(&book)
                    .into_iter()
                    .filter(|event| (event.level, event.message.as_str()) == (Level::DEBUG, "still waiting"));
                assert_eq!(quiet.count(), 11, "each once");
            });
        },
    );
}

#[test]
fn the_end_of_a_wait_is_reported_where_it_began_and_of_its_own_key() {
    alone("events::long_waits::the_end_of_a_wait_is_reported_where_it_began_and_of_its_own_key", || {
        let keys = impatient(shown().shards(1)).build();
        let (book, other) = (Book::default(), Book::default());
        for many in [false, true] {
            let guard = keys.lock("ada").wait();
            let holder = guard.fence().get();
            let mut waits: Option<Box<dyn FnOnce()>> = None;
            captured_in(
                &book,
                Level::DEBUG,
                || (),
                || {
                    waits = Some(if many {
                        let hand = Hand::queued(keys.lock_many(["ada", "bob"]));
                        Box::new(|| drop(hand))
                    } else {
                        let hand = Hand::queued(keys.lock("ada"));
                        Box::new(|| drop(hand))
                    });
                    helper::round();
                },
            );
            // The key's last user is the waiter, and its entry is the next one that is used.
            drop(guard);
            captured_in(&other, Level::DEBUG, || (), waits.take().expect("it waits"));
            let seen = taken(&book);
            assert_eq!(shapes(&seen).last().map(|shape| shape.1), Some("cancelled"), "{seen:?}");
            assert_eq!(seen.last().and_then(|event| event.number("holder")), Some(holder));
            assert_eq!(seen.last().and_then(|event| event.number("waiters")), Some(0));
            assert!(taken(&other).iter().all(|event| event.message != "cancelled"));
        }
    });
}

#[test]
fn waits_of_threads_providers_and_semaphores_are_reported_too() {
    alone("events::long_waits::waits_of_threads_providers_and_semaphores_are_reported_too", || {
        helper::without_thread();
        let keys = Arc::new(impatient(builder()).build());
        let seats = KeyedLock::<u32>::builder().name("seats").long_wait(Duration::ZERO).build_semaphore(2);
        let book = Book::default();
        no_hang({
            let book = book.clone();
            move || {
                let guard = keys.lock("ada").wait();
                thread::scope(|s| {
                    s.spawn(|| captured_in(&book, Level::INFO, || (), || drop(keys.lock("ada").wait())));
                    until(|| keys.counts().waiting == 1);
                    // It is enlisted for its report a moment after it is in the line.
                    until(|| {
                        helper::round();
                        !book.lock().expect("it is not poisoned").is_empty()
                    });
                    drop(guard);
                });
                let own = |act: &dyn Fn()| captured_in(&book, Level::WARN, || (), act);
                let guard = keys.lock("grace").wait();
                own(&|| {
                    let _waits = Hand::queued(keys.begin("grace".to_owned(), Ask::wait()).into_future());
                    helper::round();
                });
                drop(guard);
                let _permit = seats.acquire(7).wait();
                own(&|| {
                    let _waits = Hand::queued(seats.acquire_many(7, 2));
                    helper::round();
                });
            }
        });
        let seen = taken(&book);
        let told = [(Level::WARN, "still waiting"), (Level::INFO, "acquired")];
        assert_eq!(shapes(&seen[..2]), told);
        let locks: Vec<_> = seen[2..].iter().map(|event| event.field("lock")).collect();
        // The second wait of one lock within a second is no warning.
        assert!(locks.ends_with(&[Some("\"seats\"")]), "{seen:?}");
    });
}

#[test]
fn a_wait_for_several_keys_names_the_key_that_it_waits_for() {
    alone("events::long_waits::a_wait_for_several_keys_names_the_key_that_it_waits_for", || {
        for release_first in [false, true] {
            let keys = impatient(shown()).build();
            let seen = debug(|| {
                let (ada, _grace) = (keys.lock("ada").wait(), keys.lock("grace").wait());
                let mut both = Hand::queued(keys.lock_many(["grace", "ada"]));
                if release_first {
                    drop(ada);
                    assert!(both.poll().is_none(), "the other one is held");
                }
                helper::round();
            });
            let waits: Vec<_> = seen.iter().filter(|event| event.message == "still waiting").collect();
            let key = if release_first { "<grace>" } else { "<ada>" };
            assert_eq!(waits.iter().map(|event| event.field("key")).collect::<Vec<_>>(), [Some(key)]);
            let ended: Vec<_> = seen.iter().filter(|event| event.message == "cancelled").collect();
            assert_eq!(ended.len(), 1, "its end is told once");
        }
        let keys = impatient(shown()).build();
        let seen = debug(|| {
            let ada = keys.lock("ada").wait();
            let mut both = Hand::queued(keys.lock_many(["grace", "ada"]));
            helper::round();
            drop(ada);
            drop(both.poll_while_woken().expect("both are free"));
        });
        let granted: Vec<_> = seen
            .iter()
            .filter(|event| event.message == "acquired" && event.number("waited_us").is_some())
            .collect();
        assert_eq!(granted.len(), 1, "with the last key: {seen:?}");
        assert_eq!(granted[0].level, Level::INFO);
    });
}

#[test]
fn a_report_is_made_in_the_span_of_the_caller_that_waits() {
    alone("events::long_waits::a_report_is_made_in_the_span_of_the_caller_that_waits", || {
        let keys = impatient(builder()).build();
        let seen = debug(|| {
            let _guard = keys.lock("ada").wait();
            let waiter = tracing::info_span!("transfer").in_scope(|| Hand::queued(keys.lock("ada")));
            helper::round();
            // As a server drops it.
            tracing::info_span!("connection").in_scope(|| drop(waiter));
        });
        let spans: Vec<_> = seen.iter().map(|event| (event.message.as_str(), event.span)).collect();
        assert_eq!(spans[1..3], [("still waiting", Some("transfer")), ("cancelled", Some("transfer"))]);
    });
}

#[test]
fn a_subscriber_that_panics_keeps_no_other_wait_from_its_report() {
    alone("events::long_waits::a_subscriber_that_panics_keeps_no_other_wait_from_its_report", || {
        let armed = Arc::new(AtomicBool::new(false));
        let act = {
            let armed = armed.clone();
            move || assert!(!armed.swap(false, Ordering::SeqCst), "a subscriber that panics")
        };
        let keys = impatient(builder()).build();
        let seen = captured(Level::DEBUG, act, || {
            let guard = keys.lock("ada").wait();
            let mut waiters = [Hand::queued(keys.lock("ada")), Hand::queued(keys.lock("ada"))];
            armed.store(true, Ordering::SeqCst);
            helper::round();
            drop(guard);
            drop(waiters[0].poll().expect("it was told"));
        });
        let waits = seen.iter().filter(|event| event.message == "still waiting").count();
        assert_eq!(waits, 2);
        assert!(keys.is_empty());
    });
}

#[test]
fn a_subscriber_that_panics_at_the_end_of_a_wait_leaves_no_waiter() {
    alone("events::long_waits::a_subscriber_that_panics_at_the_end_of_a_wait_leaves_no_waiter", || {
        let armed = Arc::new(AtomicBool::new(false));
        let act = {
            let armed = armed.clone();
            move || assert!(!armed.swap(false, Ordering::SeqCst), "a subscriber that panics")
        };
        let keys = impatient(builder()).build();
        captured(Level::DEBUG, act, || {
            let guard = keys.lock("ada").wait();
            let waiter = Hand::queued(keys.lock("ada"));
            armed.store(true, Ordering::SeqCst);
            assert_eq!(panic_of(|| drop(waiter)), "a subscriber that panics");
            assert_eq!(keys.counts().waiting, 0);
            let both = Hand::queued(keys.lock_many(["ada", "bob"]));
            armed.store(true, Ordering::SeqCst);
            assert_eq!(panic_of(|| drop(both)), "a subscriber that panics");
            assert_eq!(keys.counts().waiting, 0);
            drop(guard);
        });
        assert!(keys.is_empty());
    });
}

#[test]
fn a_subscriber_may_end_the_wait_of_which_it_is_told() {
    alone("events::long_waits::a_subscriber_may_end_the_wait_of_which_it_is_told", || {
        no_hang(|| {
            let keys = Arc::new(impatient(builder()).build());
            let guard = keys.lock_owned("ada").wait();
            type Waits = Hand<latchwork::keyed::LockOwned<String, &'static str>>;
            let slot: Arc<Mutex<Option<Waits>>> = Arc::default();
            let (own, table) = (slot.clone(), keys.clone());
            let act = move || {
                let waits = own.lock().expect("it is not poisoned").take();
                if waits.is_some() {
                    drop(waits);
                    drop((table.snapshot(), table.try_lock("ada")));
                }
            };
            let seen = captured(Level::WARN, act, || {
                *slot.lock().expect("it is not poisoned") = Some(Hand::queued(keys.lock_owned("ada")));
                helper::round();
            });
            assert_eq!(shapes(&seen), [(Level::WARN, "still waiting")]);
            drop(guard);
            assert!(keys.is_empty());
        });
    });
}

#[test]
fn a_wait_that_was_forgotten_is_reported_and_keeps_neither_the_table_nor_a_key() {
    alone(
        "events::long_waits::a_wait_that_was_forgotten_is_reported_and_keeps_neither_the_table_nor_a_key",
        || {
            helper::without_thread();
            let key = Arc::new(7_u32);
            let seen = debug(|| {
                let keys = KeyedLock::<Arc<u32>>::builder().long_wait(Duration::ZERO).build();
                let guard = keys.lock(key.clone()).wait();
                let mut waits = Box::pin(keys.lock(key.clone()));
                assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                let _ = ManuallyDrop::new(waits);
                drop(guard);
                assert!(Arc::strong_count(&key) > 1, "its place keeps the key");
                drop(keys);
                // The forgotten future has its own.
                let left = Arc::strong_count(&key);
                helper::round();
                assert_eq!(Arc::strong_count(&key), left);
                assert!(left <= 2, "the table's is gone");
            });
            assert_eq!(shapes(&seen).last(), Some(&(Level::WARN, "still waiting")));
        },
    );
}

#[test]
fn the_thread_reports_a_wait_that_is_never_polled_again() {
    alone_with_helper("events::long_waits::the_thread_reports_a_wait_that_is_never_polled_again", || {
        no_hang(|| {
            let book = Book::default();
            let keys = builder().long_wait(Duration::from_millis(1)).build();
            captured_in(
                &book,
                Level::WARN,
                || (),
                || {
                    let _guard = keys.lock("ada").wait();
                    let told = |many| until(|| book.lock().expect("it is not poisoned").len() == many);
                    let first = Hand::queued(keys.lock("ada"));
                    told(1);
                    drop(first);
                    // The thread sleeps now, and a later wait wakes it.
                    let other = builder().long_wait(Duration::from_millis(1)).build();
                    let _held = other.lock("ada").wait();
                    let _second = Hand::queued(other.lock("ada"));
                    told(2);
                    // One that is due before the one that it sleeps for.
                    let (slow, quick) = (Duration::from_secs(3600), Duration::from_millis(1));
                    let [slow, quick] = [slow, quick].map(|d| builder().long_wait(d).build());
                    let _guards = (slow.lock("ada").wait(), quick.lock("ada").wait());
                    let _waits = (Hand::queued(slow.lock("ada")), Hand::queued(quick.lock("ada")));
                    told(3);
                },
            );
        });
    });
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn a_thread_that_could_not_be_started_is_started_for_a_later_wait() {
    alone_with_helper(
        "events::long_waits::a_thread_that_could_not_be_started_is_started_for_a_later_wait",
        || {
            no_hang(|| {
                let book = Book::default();
                let build = || builder().long_wait(Duration::from_millis(1)).build();
                let (first, second) = (build(), build());
                captured_in(
                    &book,
                    Level::WARN,
                    || (),
                    || {
                        let _guards = (first.lock("ada").wait(), second.lock("ada").wait());
                        let _early = without_memory_for_threads(|| Hand::queued(first.lock("ada")));
                        let _late = Hand::queued(second.lock("ada"));
                        until(|| book.lock().expect("it is not poisoned").len() == 2);
                    },
                );
            });
        },
    );
}

#[test]
fn a_wait_without_a_threshold_is_noted_only_for_those_who_see_its_end() {
    alone("events::long_waits::a_wait_without_a_threshold_is_noted_only_for_those_who_see_its_end", || {
        static SHOWN: AtomicUsize = AtomicUsize::new(0);
        let counted = builder().show_keys(|key, f| {
            SHOWN.fetch_add(1, Ordering::SeqCst);
            f.write_str(key)
        });
        let keys = counted.long_wait(Duration::MAX).build();
        for (level, expected) in [(Level::WARN, 0), (Level::INFO, 0), (Level::DEBUG, 1)] {
            let _guard = keys.lock("ada").wait();
            let before = SHOWN.load(Ordering::SeqCst);
            captured(
                level,
                || (),
                || {
                    let _waits = Hand::queued(keys.lock("ada"));
                    assert_eq!(SHOWN.load(Ordering::SeqCst) - before, expected);
                },
            );
        }
    });
}

#[test]
fn waits_that_ended_leave_nothing_to_report() {
    alone("events::long_waits::waits_that_ended_leave_nothing_to_report", || {
        let keys = impatient(builder()).build();
        let seen = captured(
            Level::INFO,
            || (),
            || {
                for _ in 0..100 {
                    let guard = keys.lock("ada").wait();
                    let mut waiter = Hand::queued(keys.lock("ada"));
                    drop(guard);
                    drop(waiter.poll().expect("it was told"));
                    let guard = keys.lock("ada").wait();
                    drop(Hand::queued(keys.lock("ada")));
                    assert!(keys.lock("ada").wait_timeout(Duration::ZERO).is_err());
                    drop(guard);
                    let mut both = pin!(keys.lock_many(["ada", "bob"]));
                    let guard = keys.lock("bob").wait();
                    assert!(both.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                    drop(guard);
                    assert!(both.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
                }
                helper::round();
            },
        );
        assert!(seen.is_empty(), "{seen:?}");
    });
}
