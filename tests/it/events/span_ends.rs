//! The end of a wait may end the span of its caller. A subscriber sees that, and may panic.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use latchwork::keyed::LockOwned;
use latchwork::{KeyedLock, helper};
use tracing::span::Id;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::support::{Hand, alone, alone_with_helper, no_hang, panic_of, until};

type Waits = Hand<LockOwned<String, &'static str>>;

/// Panics at the next end of a span when it is armed, and counts events.
#[derive(Clone, Default)]
struct Ends {
    is_armed: Arc<AtomicBool>,
    /// Ends with the next event, which arms it.
    waits: Arc<Mutex<Option<Waits>>>,
    seen: Arc<Mutex<usize>>,
}

impl Ends {
    fn arm(&self) {
        self.is_armed.store(true, Ordering::SeqCst);
    }

    fn is_armed(&self) -> bool {
        self.is_armed.load(Ordering::SeqCst)
    }

    fn seen(&self) -> usize {
        *self.seen.lock().expect("it is not poisoned")
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ends {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::WARN {
            *self.seen.lock().expect("it is not poisoned") += 1;
            if let Some(waits) = self.waits.lock().expect("it is not poisoned").take() {
                self.arm();
                drop(waits);
            }
        }
    }

    fn on_close(&self, _: Id, _: Context<'_, S>) {
        assert!(!self.is_armed.swap(false, Ordering::SeqCst), "a span that panics");
    }
}

/// Has to wait, in a span that ends with the wait.
fn in_a_span<F: Future>(future: F) -> Hand<F> {
    tracing::info_span!("request").in_scope(|| Hand::queued(future))
}

#[test]
fn a_span_whose_end_panics_when_the_key_is_granted_leaves_it_free() {
    alone("events::span_ends::a_span_whose_end_panics_when_the_key_is_granted_leaves_it_free", || {
        let ends = Ends::default();
        let _subscriber = tracing_subscriber::registry().with(ends.clone()).set_default();
        let keys = KeyedLock::<String>::new();
        let guard = keys.lock("ada").wait();
        let mut one = in_a_span(keys.lock("ada"));
        drop(guard);
        ends.arm();
        assert_eq!(panic_of(|| drop(one.poll())), "a span that panics");
        drop(one);
        assert!(keys.is_empty());

        let guard = keys.lock("bob").wait();
        let mut many = in_a_span(keys.lock_many(["ada", "bob", "eve"]));
        drop(guard);
        ends.arm();
        assert_eq!(panic_of(|| drop(many.poll_while_woken())), "a span that panics");
        drop(many);
        assert!(keys.is_empty());
    });
}

#[test]
fn a_span_whose_end_panics_while_the_thread_unwinds_aborts_nothing() {
    alone("events::span_ends::a_span_whose_end_panics_while_the_thread_unwinds_aborts_nothing", || {
        let ends = Ends::default();
        let _subscriber = tracing_subscriber::registry().with(ends.clone()).set_default();
        let keys = KeyedLock::<String>::new();
        let guard = keys.lock("ada").wait();
        let caller = panic_of(|| {
            let _one = in_a_span(keys.lock("ada"));
            ends.arm();
            panic!("the caller")
        });
        assert_eq!((caller.as_str(), ends.is_armed()), ("the caller", false));
        let caller = panic_of(|| {
            let _many = in_a_span(keys.lock_many(["ada", "bob"]));
            ends.arm();
            panic!("the caller")
        });
        assert_eq!((caller.as_str(), ends.is_armed()), ("the caller", false));
        drop(guard);
        assert!(keys.is_empty());
    });
}

#[test]
fn a_span_whose_end_panics_in_a_round_leaves_the_other_waits_their_reports() {
    alone(
        "events::span_ends::a_span_whose_end_panics_in_a_round_leaves_the_other_waits_their_reports",
        || {
            let ends = Ends::default();
            let _subscriber = tracing_subscriber::registry().with(ends.clone()).set_default();
            let [first, second] =
                [(); 2].map(|()| Arc::new(KeyedLock::<String>::builder().long_wait(Duration::ZERO).build()));
            let _guards = (first.lock("ada").wait(), second.lock("ada").wait());
            *ends.waits.lock().expect("it is not poisoned") = Some(in_a_span(first.lock_owned("ada")));
            let _waits = Hand::queued(second.lock("ada"));
            helper::round();
            assert_eq!((ends.seen(), ends.is_armed()), (2, false));
        },
    );
}

#[test]
fn the_thread_survives_a_span_whose_end_panics() {
    alone_with_helper("events::span_ends::the_thread_survives_a_span_whose_end_panics", || {
        no_hang(|| {
            let ends = Ends::default();
            let _subscriber = tracing_subscriber::registry().with(ends.clone()).set_default();
            let build =
                || Arc::new(KeyedLock::<String>::builder().long_wait(Duration::from_millis(1)).build());
            let (first, second) = (build(), build());
            let _guards = (first.lock("ada").wait(), second.lock("ada").wait());
            let mut waits = ends.waits.lock().expect("it is not poisoned");
            *waits = Some(in_a_span(first.lock_owned("ada")));
            drop(waits);
            until(|| ends.seen() == 1 && !ends.is_armed());
            let _waits = Hand::queued(second.lock("ada"));
            until(|| ends.seen() == 2);
        });
    });
}
