//! The span around the wait for a request's key and the hold of it.
//!
//! `tracing` remembers of each place in the code whether a subscriber wants it, and a thread without a subscriber may be the
//! first at that place. So each test runs in a process of its own, in which every thread has one.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Request, Response};
use futures::FutureExt;
use latchwork::keyed::OwnedKeyedGuard;
use latchwork::layer::{KeyedLockLayer, Mode, OnLost, extension};
use latchwork::provider::{AnyLocks, Ask, Begun, HeldLock, LockError, LockProvider, ShowKey};
use latchwork::{Fence, KeyedLock};
use tower::{Layer as _, Service, ServiceExt, service_fn};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Instrument, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::support::alone;

type Fields = BTreeMap<&'static str, String>;

/// What was recorded of a span.
#[derive(Clone, Default, Debug)]
struct Seen {
    name: &'static str,
    fields: Fields,
    /// Messages of the events inside it.
    events: Vec<String>,
    levels: Vec<Level>,
    /// What they name as the cause.
    causes: Vec<String>,
    is_closed: bool,
}

struct Write<'a>(&'a mut Fields);

impl Visit for Write<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

#[derive(Clone, Default)]
struct Capture(Arc<Mutex<BTreeMap<u64, Seen>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut seen = Seen { name: attributes.metadata().name(), ..Seen::default() };
        attributes.record(&mut Write(&mut seen.fields));
        self.0.lock().unwrap().insert(id.into_u64(), seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut Write(&mut self.0.lock().unwrap().get_mut(&id.into_u64()).unwrap().fields));
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Write(&mut fields));
        if let Some(span) = context.event_span(event) {
            let mut seen = self.0.lock().unwrap();
            let seen = seen.get_mut(&span.id().into_u64()).unwrap();
            seen.events.push(fields.remove("message").unwrap());
            seen.levels.push(*event.metadata().level());
            seen.causes.extend(fields.remove("cause"));
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.0.lock().unwrap().get_mut(&id.into_u64()).unwrap().is_closed = true;
    }
}

/// The spans that `f` makes, in a runtime of this thread.
fn captured<F: Future>(f: impl FnOnce() -> F) -> Vec<Seen> {
    let capture = Capture::default();
    let guard = tracing_subscriber::registry().with(capture.clone()).set_default();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(f());
    // What is detached goes with the runtime.
    drop(runtime);
    drop(guard);
    capture.0.lock().unwrap().values().cloned().collect()
}

fn shown() -> Arc<KeyedLock<String>> {
    Arc::new(KeyedLock::builder().name("users").show_keys(|key, f| write!(f, "user {key}")).build())
}

type ByPath = fn(&Parts) -> Option<String>;

/// A provider in another process: it can't be reached, or loses each lock.
#[derive(Clone)]
struct Remote {
    locks: Arc<KeyedLock<String>>,
    is_down: bool,
    lost_after: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("no connection")]
struct NoConnection(#[source] std::io::Error);

/// Lost when it was looked at this number of times.
struct LostGuard(OwnedKeyedGuard<String>, usize, AtomicUsize);

impl HeldLock for LostGuard {
    type Key = String;

    fn key(&self) -> &String {
        self.0.key()
    }

    fn fence(&self) -> Fence {
        self.0.fence()
    }

    fn is_lost(&self) -> bool {
        self.2.fetch_add(1, Ordering::Relaxed) >= self.1
    }

    fn lost(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

impl LockProvider<String> for Remote {
    type Guard = LostGuard;
    type Wait = std::future::Pending<Result<LostGuard, LockError>>;

    fn begin(&self, key: String, _: Ask) -> Begun<LostGuard, Self::Wait> {
        if self.is_down {
            let cause = NoConnection(std::io::Error::other("the host is down"));
            return Begun::Refused(LockError::Unavailable(cause.into()));
        }
        let guard = self.locks.try_lock_owned(key).unwrap();
        Begun::Acquired(LostGuard(guard, self.lost_after, AtomicUsize::new(0)))
    }

    fn show_key(&self) -> Option<ShowKey<String>> {
        Some(|key, f| write!(f, "remote user {key}"))
    }
}

fn layer(locks: &Arc<KeyedLock<String>>) -> KeyedLockLayer<String, ByPath> {
    fn by_path(parts: &Parts) -> Option<String> {
        Some(parts.uri.path()[1..].to_owned()).filter(|path| !path.is_empty())
    }
    KeyedLockLayer::new(locks.clone(), by_path as ByPath).name("plans")
}

async fn handler(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    tracing::info!("in the handler");
    Ok(Response::new(Body::empty()))
}

/// A request for Ada through a layer around the handler.
async fn ask<L: LockProvider<String>>(layer: KeyedLockLayer<String, ByPath, L>) {
    let service = layer.layer(service_fn(handler));
    service.oneshot(Request::get("/ada").body(Body::empty()).unwrap()).await.unwrap();
}

fn field<'s>(seen: &'s Seen, name: &str) -> Option<&'s str> {
    seen.fields.get(name).map(String::as_str)
}

#[test]
fn a_request_with_its_key_is_a_span_that_says_all_about_it() {
    alone("spans::a_request_with_its_key_is_a_span_that_says_all_about_it", || {
        let locks = shown();
        let spans = captured(|| ask(layer(&locks)));
        let [span] = &spans[..] else { panic!("one span was due: {spans:?}") };
        assert_eq!((span.name, span.is_closed), ("keyed_lock", true));
        assert_eq!((field(span, "layer"), field(span, "key")), (Some("plans"), Some("user ada")));
        assert_eq!(field(span, "lock"), Some("users"));
        assert_eq!(field(span, "outcome"), Some("acquired"));
        assert!(field(span, "fence").unwrap().parse::<u64>().unwrap() > 0);
        assert_eq!(span.events, ["acquired", "in the handler", "released"]);
    });
}

#[test]
fn keys_are_shown_only_if_the_table_says_how() {
    alone("spans::keys_are_shown_only_if_the_table_says_how", || {
        let locks = Arc::new(KeyedLock::<String>::new());
        let spans = captured(|| ask(layer(&locks)));
        assert_eq!(field(&spans[0], "key"), None);
        assert!(!format!("{spans:?}").contains("ada"));
    });
}

#[test]
fn a_wait_is_inside_the_span() {
    alone("spans::a_wait_is_inside_the_span", || {
        let locks = shown();
        let spans = captured(|| async {
            let held = locks.try_lock("ada").unwrap();
            let mut waits = std::pin::pin!(ask(layer(&locks).wait(Duration::from_secs(1))));
            assert!(futures::poll!(waits.as_mut()).is_pending());
            drop(held);
            waits.await;
        });
        let [span] = &spans[..] else { panic!("one span was due: {spans:?}") };
        assert_eq!(field(span, "outcome"), Some("waited"));
        assert_eq!(span.events, ["acquired", "in the handler", "released"]);
    });
}

#[test]
fn refusals_say_why_and_have_no_fence() {
    alone("spans::refusals_say_why_and_have_no_fence", || {
        let locks = shown();
        let spans = captured(|| async {
            let _held = locks.try_lock("ada").unwrap();
            ask(layer(&locks)).await;
            ask(layer(&locks).wait(Duration::from_secs(1))).await;
            ask(layer(&locks).wait(Duration::from_secs(1)).max_waiters(0)).await;
        });
        let outcomes: Vec<_> = spans.iter().map(|span| field(span, "outcome").unwrap()).collect();
        assert_eq!(outcomes, ["busy", "timed_out", "queue_full"]);
        assert!(spans.iter().all(|span| field(span, "fence").is_none() && span.is_closed));
        assert_eq!(spans[0].events, ["rejected"]);
    });
}

#[test]
fn two_locks_in_front_of_one_handler_can_be_told_apart() {
    alone("spans::two_locks_in_front_of_one_handler_can_be_told_apart", || {
        let by_path: ByPath = |parts| Some(parts.uri.path()[1..].to_owned());
        let spans = captured(|| async {
            let names = ["users", "tenants"];
            let [users, tenants] = names.map(|name| Arc::new(KeyedLock::builder().name(name).build()));
            let nameless = Arc::new(KeyedLock::new());
            // A layer has the name of its locks, or its own, or a default.
            let service = KeyedLockLayer::new(users, by_path).layer(service_fn(handler));
            let service = KeyedLockLayer::new(tenants, by_path).name("plans").layer(service);
            let service = KeyedLockLayer::new(AnyLocks::new(nameless), by_path).layer(service);
            service.oneshot(Request::get("/ada").body(Body::empty()).unwrap()).await.unwrap();
        });
        let names: Vec<_> = spans.iter().map(|span| (field(span, "layer"), field(span, "lock"))).collect();
        let (users, tenants) = (Some("users"), Some("tenants"));
        assert_eq!(names, [(Some("requests"), None), (Some("plans"), tenants), (users, users)]);
    });
}

#[test]
fn keys_that_may_be_shown_as_they_are_need_no_closure() {
    alone("spans::keys_that_may_be_shown_as_they_are_need_no_closure", || {
        let builder = KeyedLock::<String>::builder().name("users").show_keys(fmt::Display::fmt);
        let locks = AnyLocks::new(Arc::new(builder.build()));
        assert_eq!(LockProvider::name(&locks), Some("users"));
        let by_path: ByPath = |parts| Some(parts.uri.path()[1..].to_owned());
        let spans = captured(|| ask(KeyedLockLayer::new(locks, by_path)));
        assert_eq!((field(&spans[0], "lock"), field(&spans[0], "key")), (Some("users"), Some("ada")));
    });
}

#[test]
fn nothing_that_a_client_repeats_floods_the_log_with_warnings() {
    alone("spans::nothing_that_a_client_repeats_floods_the_log_with_warnings", || {
        let started = Instant::now();
        let by_path: ByPath = |parts| Some(parts.uri.path()[1..].to_owned());
        let locks = shown();
        let down =
            KeyedLockLayer::new(Remote { locks: locks.clone(), is_down: true, lost_after: 1 }, by_path);
        let misplaced = KeyedLockLayer::new(locks.clone(), extension(|user: &String| Some(user.clone())));
        let spans = captured(|| async {
            let _held = locks.try_lock("ada").unwrap();
            for _ in 0..50 {
                for mode in [Mode::Enforce, Mode::Observe] {
                    ask(layer(&locks).mode(mode)).await;
                    ask(layer(&locks).wait(Duration::from_secs(1)).mode(mode)).await;
                    ask(layer(&locks).wait(Duration::from_secs(1)).max_waiters(0).mode(mode)).await;
                    ask(down.clone().mode(mode)).await;
                }
                let service = misplaced.clone().layer(service_fn(handler));
                let around = tracing::info_span!("around");
                let request = Request::get("/ada").body(Body::empty()).unwrap();
                service.oneshot(request).instrument(around).await.unwrap();
            }
        });
        let loud: Vec<_> = spans
            .iter()
            .flat_map(|span| span.levels.iter().zip(&span.events))
            .filter(|(level, message)| **level <= Level::INFO && *message != "in the handler")
            .collect();
        // One of a kind in each second.
        for message in ["the lock provider is unavailable", "cannot find the key of a request"] {
            let errors = loud.iter().filter(|(_, event)| *event == message).count() as u64;
            assert!((1..=1 + started.elapsed().as_secs()).contains(&errors), "{errors} of {message}");
        }
        let kinds = ["the lock provider is unavailable", "cannot find the key of a request", "still waiting"];
        assert!(loud.iter().all(|(_, message)| kinds.contains(&message.as_str())), "{loud:?}");
    });
}

#[test]
fn a_layer_in_the_wrong_place_does_not_hide_another_one() {
    alone("spans::a_layer_in_the_wrong_place_does_not_hide_another_one", || {
        let locks = shown();
        let by_name = KeyedLockLayer::new(locks.clone(), extension(|user: &String| Some(user.clone())));
        let by_number = KeyedLockLayer::new(locks, extension(|user: &u32| Some(user.to_string())));
        let spans = captured(|| async {
            let request = || Request::get("/ada").body(Body::empty()).unwrap();
            let (by_name, by_number) =
                (by_name.layer(service_fn(handler)), by_number.layer(service_fn(handler)));
            by_name.oneshot(request()).instrument(tracing::info_span!("around")).await.unwrap();
            by_number.oneshot(request()).instrument(tracing::info_span!("around")).await.unwrap();
        });
        let around: Vec<_> = spans.iter().filter(|span| span.name == "around").collect();
        assert!(around.iter().all(|span| span.levels == [Level::ERROR]), "{spans:?}");
        let causes: Vec<_> = around.iter().flat_map(|span| &span.causes).collect();
        assert_eq!(
            causes,
            [
                "the request has no extension of the type alloc::string::String",
                "the request has no extension of the type u32"
            ]
        );
    });
}

#[test]
fn what_would_have_been_held_up_is_an_event() {
    alone("spans::what_would_have_been_held_up_is_an_event", || {
        let locks = shown();
        let spans = captured(|| async {
            let _held = locks.try_lock("ada").unwrap();
            ask(layer(&locks).mode(Mode::Observe)).await;
        });
        let [span] = &spans[..] else { panic!("one span was due: {spans:?}") };
        assert_eq!(field(span, "outcome"), Some("would_be_busy"));
        assert_eq!(
            span.events,
            ["rejected", "the request would have waited or been refused", "in the handler"]
        );
        assert_eq!(span.levels, [Level::DEBUG, Level::DEBUG, Level::INFO]);
    });
}

#[test]
fn a_provider_that_is_down_is_an_error_with_its_causes() {
    alone("spans::a_provider_that_is_down_is_an_error_with_its_causes", || {
        let remote = Remote { locks: shown(), is_down: true, lost_after: 1 };
        let by_path: ByPath = |parts| Some(parts.uri.path()[1..].to_owned());
        let down = KeyedLockLayer::new(remote, by_path).name("plans");
        let spans = captured(|| async {
            ask(down.clone()).await;
            ask(down.clone().mode(Mode::Observe)).await;
        });
        let [enforced, observed] = &spans[..] else { panic!("two spans were due: {spans:?}") };
        for span in [enforced, observed] {
            assert_eq!(field(span, "key"), Some("remote user ada"));
            assert_eq!(span.causes, ["no connection: the host is down"]);
        }
        assert_eq!(field(enforced, "outcome"), Some("unavailable"));
        assert_eq!(enforced.events, ["the lock provider is unavailable"]);
        assert_eq!(field(observed, "outcome"), Some("would_be_unavailable"));
        let warning = "the request would have waited or been refused";
        assert_eq!(observed.events, ["the lock provider is unavailable", warning, "in the handler"]);
        assert_eq!(enforced.levels, [Level::ERROR]);
    });
}

#[test]
fn a_lock_that_was_lost_is_a_warning_when_the_key_is_released() {
    alone("spans::a_lock_that_was_lost_is_a_warning_when_the_key_is_released", || {
        let remote = Remote { locks: shown(), is_down: false, lost_after: 1 };
        let by_path: ByPath = |parts| Some(parts.uri.path()[1..].to_owned());
        let spans = captured(|| ask(KeyedLockLayer::new(remote, by_path)));
        let [span] = &spans[..] else { panic!("one span was due: {spans:?}") };
        assert_eq!((field(span, "outcome"), span.is_closed), (Some("acquired"), true));
        let lost = "the lock was lost while the request held it";
        assert_eq!(span.events, ["acquired", "in the handler", lost, "released"]);
    });
}

#[test]
fn a_request_that_ends_with_its_lock_has_the_outcome_lost() {
    alone("spans::a_request_that_ends_with_its_lock_has_the_outcome_lost", || {
        // Looked at when it is granted, and before the service is polled.
        let remote = Remote { locks: shown(), is_down: false, lost_after: 1 };
        let by_path: ByPath = |parts| Some(parts.uri.path()[1..].to_owned());
        let spans = captured(|| ask(KeyedLockLayer::new(remote, by_path).on_lost(OnLost::Abort)));
        let [span] = &spans[..] else { panic!("one span was due: {spans:?}") };
        assert_eq!((field(span, "outcome"), span.is_closed), (Some("lost"), true));
        assert_eq!(span.events, ["acquired", "the lock was lost while the request held it", "released"]);
    });
}

#[test]
fn a_lock_that_is_lost_after_its_request_is_no_warning() {
    alone("spans::a_lock_that_is_lost_after_its_request_is_no_warning", || {
        let remote = Remote { locks: shown(), is_down: false, lost_after: 2 };
        let by_path: ByPath = |parts| Some(parts.uri.path()[1..].to_owned());
        let spans = captured(|| async {
            let minimum = Duration::from_secs(1);
            ask(KeyedLockLayer::new(remote, by_path).hold_at_least(minimum)).await;
            tokio::time::sleep(minimum * 2).await;
        });
        let [span] = &spans[..] else { panic!("one span was due: {spans:?}") };
        assert_eq!(
            (&span.events[..], span.is_closed),
            (&["acquired", "in the handler", "released"].map(str::to_owned)[..], true)
        );
    });
}

#[test]
fn a_client_that_hangs_up_leaves_a_whole_span() {
    alone("spans::a_client_that_hangs_up_leaves_a_whole_span", || {
        let locks = shown();
        let slow = |layer: KeyedLockLayer<String, ByPath>| {
            let service = layer.layer(service_fn(|_: Request<Body>| {
                std::future::pending::<Result<Response<Body>, Infallible>>()
            }));
            service.oneshot(Request::get("/ada").body(Body::empty()).unwrap())
        };
        let spans = captured(|| async {
            let second = Duration::from_secs(1);
            let mut runs = Box::pin(slow(layer(&locks)));
            let mut waits = Box::pin(slow(layer(&locks).wait(second)));
            let mut observed = Box::pin(slow(layer(&locks).wait(second).mode(Mode::Observe)));
            assert!(futures::poll!(&mut runs).is_pending());
            assert!(futures::poll!(&mut waits).is_pending());
            assert!(futures::poll!(&mut observed).is_pending());
            drop((waits, observed, runs));
        });
        let [runs, waits, observed] = &spans[..] else { panic!("three spans were due: {spans:?}") };
        assert!(spans.iter().all(|span| span.is_closed));
        assert_eq!(runs.events, ["acquired", "released"]);
        assert_eq!(field(waits, "outcome"), Some("cancelled"));
        assert_eq!(field(observed, "outcome"), Some("would_wait"));
        assert_eq!(waits.events, ["cancelled"]);
        assert_eq!(observed.events, ["the request would have waited or been refused", "cancelled"]);
    });
}

#[test]
fn a_key_that_is_held_until_the_bodys_end_is_released_inside_the_span() {
    alone("spans::a_key_that_is_held_until_the_bodys_end_is_released_inside_the_span", || {
        let locks = shown();
        let spans = captured(|| async {
            let handler = async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("a plan")));
            let service = layer(&locks).hold_until_body_end(true).layer(service_fn(handler));
            let answer = service.oneshot(Request::get("/ada").body(Body::empty()).unwrap()).await.unwrap();
            axum::body::to_bytes(Body::new(answer.into_body()), 100).await.unwrap();
        });
        let [span] = &spans[..] else { panic!("one span was due: {spans:?}") };
        assert_eq!(span.events, ["acquired", "released"]);
        assert!(span.is_closed);
    });
}

#[test]
fn a_detached_handler_stays_inside_the_span() {
    alone("spans::a_detached_handler_stays_inside_the_span", || {
        let locks = shown();
        let spans = captured(|| ask(layer(&locks).detached(true)));
        let [span] = &spans[..] else { panic!("one span was due: {spans:?}") };
        assert_eq!(span.events, ["acquired", "in the handler", "released"]);
        assert!(span.is_closed);
    });
}

/// Panics when it is called for the nth time.
struct Shaky(AtomicUsize);

impl Shaky {
    fn told(&self) {
        // In a destructor of what unwinds it would abort.
        if !std::thread::panicking() && self.0.fetch_sub(1, Ordering::SeqCst) == 0 {
            std::panic::resume_unwind(Box::new("asked for"));
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Shaky {
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.told();
    }

    fn on_record(&self, _: &Id, _: &Record<'_>, _: Context<'_, S>) {
        self.told();
    }

    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        self.told();
    }

    fn on_enter(&self, _: &Id, _: Context<'_, S>) {
        self.told();
    }

    fn on_exit(&self, _: &Id, _: Context<'_, S>) {
        self.told();
    }

    fn on_close(&self, _: Id, _: Context<'_, S>) {
        self.told();
    }
}

#[test]
fn a_subscriber_that_panics_leaves_no_key() {
    alone("spans::a_subscriber_that_panics_leaves_no_key", || {
        type Setup = fn(KeyedLockLayer<String, ByPath>) -> KeyedLockLayer<String, ByPath>;
        let setups: [Setup; 5] = [
            |layer| layer,
            |layer| layer.hold_until_body_end(true),
            |layer| layer.detached(true),
            |layer| layer.wait(Duration::from_secs(1)),
            |layer| layer.wait(Duration::from_secs(1)).mode(Mode::Observe),
        ];
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        for (nth, setup) in setups.into_iter().enumerate() {
            let is_contended = nth > 2;
            let panics = (0..).take_while(|told| {
                let locks = shown();
                let held = is_contended.then(|| locks.try_lock("ada").unwrap());
                let guard = tracing_subscriber::registry().with(Shaky(AtomicUsize::new(*told))).set_default();
                let asked = AssertUnwindSafe(async {
                    let mut ask = std::pin::pin!(ask(setup(layer(&locks))));
                    if futures::poll!(ask.as_mut()).is_pending() {
                        drop(held);
                        ask.await;
                    }
                });
                let panicked = runtime.block_on(asked.catch_unwind()).is_err();
                drop(guard);
                runtime.block_on(tokio::task::yield_now());
                assert!(locks.is_empty(), "{nth}, {told}");
                panicked
            });
            assert!(panics.count() > 5, "{nth}");
        }
    });
}

#[test]
fn requests_that_go_through_without_a_lock_have_no_span() {
    alone("spans::requests_that_go_through_without_a_lock_have_no_span", || {
        let locks = shown();
        let spans = captured(|| async {
            ask(layer(&locks).mode(Mode::Off)).await;
            let mut service = layer(&locks).layer(service_fn(handler));
            service
                .ready()
                .await
                .unwrap()
                .call(Request::get("/").body(Body::empty()).unwrap())
                .await
                .unwrap();
        });
        assert!(spans.is_empty(), "{spans:?}");
    });
}
