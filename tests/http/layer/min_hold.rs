//! Keys that are held for a while at least.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use latchwork::layer::{HeldKey, KeyedLockLayer, Mode, Outcome};
use tokio::runtime::Builder;
use tokio::time::{Instant, advance};
use tower::service_fn;

use super::ends::End;
use super::remote::{Remote, Reply};
use super::service::{Answer, ByPath, Gate, Locks, around, call, gated, layer, locks, ok, post};
use crate::support::{Hand, no_hang, panic_of};

const MINIMUM: Duration = Duration::from_millis(500);
const MOMENT: Duration = Duration::from_millis(1);

fn held_at_least(locks: &Locks) -> KeyedLockLayer<String, ByPath> {
    layer(locks).hold_at_least(MINIMUM)
}

/// Passes time until the minimum is almost over, then to its end, and looks at the key.
async fn is_kept_to_the_minimum(locks: &Locks, granted: Instant) {
    advance(MINIMUM - MOMENT - granted.elapsed()).await;
    settle().await;
    assert!(locks.is_locked("ada"), "the minimum is not over");
    advance(MOMENT).await;
    settle().await;
    assert!(locks.is_empty(), "the minimum is over");
}

/// Lets the tasks of this runtime do what they can do now.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_click_after_a_quick_handler_is_refused_until_the_minimum_is_over() {
    let locks = locks();
    let layer = held_at_least(&locks);
    let mut service = around(&layer, service_fn(ok));
    let granted = Instant::now();
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), 200);
    assert_eq!(granted.elapsed(), Duration::ZERO, "its answer is not delayed");
    advance(Duration::from_millis(85)).await;
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), 409);
    assert_eq!(call(&mut service, post("/grace")).await.unwrap().status(), 200);
    advance(MINIMUM - Duration::from_millis(86)).await;
    settle().await;
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), 409);
    advance(MOMENT).await;
    settle().await;
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), 200);
    assert_eq!((layer.stats().of(Outcome::Acquired), layer.stats().of(Outcome::Busy)), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_that_the_key_is_busy_for_the_minimum() {
    for (minimum, seconds) in [(1, "1"), (1_000, "1"), (1_001, "2"), (600_000, "600")] {
        let layer = layer(&locks()).hold_at_least(Duration::from_millis(minimum));
        let mut service = around(&layer, service_fn(ok));
        assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), 200);
        let refused = call(&mut service, post("/ada")).await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (409, &seconds.parse().unwrap())
        );
        let grpc = Request::post("/ada").header("content-type", "application/grpc").body(Body::empty());
        let refused = call(&mut service, grpc.unwrap()).await.unwrap();
        assert_eq!(refused.headers()["grpc-retry-pushback-ms"], format!("{seconds}000"));
        // Another cause has nothing to do with it.
        let mut full = around(&layer.clone().max_running(0), service_fn(ok));
        let refused = call(&mut full, post("/grace")).await.unwrap();
        assert_eq!(refused.headers()["retry-after"], "1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_gets_the_key_when_the_minimum_is_over() {
    let locks = locks();
    let mut service = around(&held_at_least(&locks).wait(Duration::from_secs(3600)), service_fn(ok));
    let granted = Instant::now();
    for passed in 0..3 {
        assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), 200);
        assert_eq!(granted.elapsed().as_millis(), MINIMUM.as_millis() * passed, "from grant to grant");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_longer_frees_its_key_at_its_end() {
    let locks = locks();
    let gate = Gate::new();
    let mut service = around(&held_at_least(&locks), gated(&gate));
    let mut one = Hand::queued(call(&mut service, post("/ada")));
    advance(MINIMUM).await;
    assert!(locks.is_locked("ada"));
    gate.open();
    assert!(one.poll().is_some());
    assert!(locks.is_empty(), "no task has to run for it");
}

#[tokio::test(start_paused = true)]
async fn however_a_request_ends_its_key_is_held_to_the_minimum() {
    for (end, is_shared) in End::ALL.into_iter().flat_map(|end| [(end, false), (end, true)]) {
        let locks = locks();
        let gate = Gate::new();
        let inner = end.service(&gate);
        let mut service = around(&held_at_least(&locks).share_guard(is_shared), inner);
        let granted = Instant::now();
        if end == End::PanickedWhenCalled {
            assert!(panic_of(|| drop(call(&mut service, post("/ada")))).contains("asked for"));
        } else {
            let mut one = Hand::new(call(&mut service, post("/ada")));
            if end != End::Unpolled {
                assert!(one.poll().is_none());
            }
            advance(MINIMUM / 3).await;
            gate.open();
            match end {
                End::Answered | End::Failed => assert_eq!(one.poll().unwrap().is_err(), end == End::Failed),
                End::Panicked => assert!(panic_of(|| one.poll().is_some()).contains("asked for")),
                _ => {}
            }
        }
        is_kept_to_the_minimum(&locks, granted).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_sooner_leaves_its_key_held_to_the_minimum() {
    let locks = locks();
    let inner = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("a plan"))));
    let mut service = around(&held_at_least(&locks).hold_until_body_end(true), inner);
    for (until_end, is_over) in [(MINIMUM / 3, false), (MINIMUM, true)] {
        let granted = Instant::now();
        let response = call(&mut service, post("/ada")).await.unwrap();
        advance(until_end).await;
        settle().await;
        assert!(locks.is_locked("ada"));
        let body = axum::body::to_bytes(Body::new(response.into_body()), 100).await.unwrap();
        assert_eq!((body, locks.is_empty()), ("a plan".into(), is_over));
        if !is_over {
            is_kept_to_the_minimum(&locks, granted).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_detached_handler_keeps_its_key_to_the_minimum_though_the_client_is_gone() {
    let locks = locks();
    let gate = Gate::new();
    let mut service = around(&held_at_least(&locks).detached(true), gated(&gate));
    let granted = Instant::now();
    drop(Hand::queued(call(&mut service, post("/ada"))));
    settle().await;
    gate.open();
    settle().await;
    is_kept_to_the_minimum(&locks, granted).await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_keeps_the_shared_guard_keeps_the_key_beyond_the_minimum() {
    let locks = locks();
    let (sends, kept) = std::sync::mpsc::channel();
    let inner = service_fn(move |mut request: Request<Body>| {
        sends.send(request.extensions_mut().remove::<HeldKey<String>>().unwrap()).unwrap();
        async { Ok::<_, Infallible>(Response::new(Body::empty())) }
    });
    let mut service = around(&held_at_least(&locks).share_guard(true), inner);
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), 200);
    let kept = kept.recv().unwrap();
    advance(MINIMUM).await;
    settle().await;
    assert!(locks.is_locked("ada"));
    drop(kept);
    assert!(locks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_the_key_is_kept_and_not_the_place_of_a_request() {
    let locks = locks();
    let layer = held_at_least(&locks).max_running(1);
    let mut service = around(&layer, service_fn(ok));
    for path in ["/ada", "/grace", "/edsger"] {
        assert_eq!(call(&mut service, post(path)).await.unwrap().status(), 200);
    }
    assert_eq!(locks.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_key_of_another_process_is_held_to_the_minimum_after_its_grant() {
    let gate = Gate::new();
    let remote = Remote::new(Reply::Grant, Some(&gate));
    let mut service = around(&remote.layer().hold_at_least(MINIMUM), service_fn(ok));
    let mut one = Hand::queued(call(&mut service, post("/ada")));
    advance(MINIMUM).await;
    let granted = Instant::now();
    gate.open();
    assert!(one.poll().is_some());
    is_kept_to_the_minimum(&remote.locks, granted).await;
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_lost_is_given_back_at_once() {
    let gate = Gate::new();
    let remote = Remote::new(Reply::Grant, None);
    let mut service = around(&remote.layer().hold_at_least(MINIMUM), gated(&gate));
    let mut one = Hand::queued(call(&mut service, post("/ada")));
    remote.loss.happen();
    gate.open();
    assert!(one.poll().is_some());
    assert!(remote.locks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_it_is_only_observed_keys_are_held_as_long_and_nobody_is_refused() {
    let locks = locks();
    let layer = held_at_least(&locks).mode(Mode::Observe);
    let mut service = around(&layer, service_fn(ok));
    let granted = Instant::now();
    for _ in 0..2 {
        assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), 200);
    }
    is_kept_to_the_minimum(&locks, granted).await;
    let counted = [Outcome::Acquired, Outcome::WouldBeBusy].map(|outcome| layer.stats().of(outcome));
    assert_eq!(counted, [1, 1], "as it would be if it were enforced");
}

#[tokio::test(start_paused = true)]
async fn the_longest_minimum_is_no_overflow() {
    let locks = locks();
    let mut service = around(&layer(&locks).hold_at_least(Duration::MAX), service_fn(ok));
    assert_eq!(call(&mut service, post("/ada")).await.unwrap().status(), 200);
    advance(Duration::from_secs(3600)).await;
    settle().await;
    assert!(locks.is_locked("ada"));
}

#[test]
fn a_runtime_that_shuts_down_releases_the_keys_that_it_keeps() {
    no_hang(|| {
        let locks = locks();
        let mut service = around(&held_at_least(&locks), service_fn(ok));
        let mut late = around(&held_at_least(&locks), service_fn(|_: Request<Body>| pending::<Answer>()));
        for workers in [
            Builder::new_multi_thread().worker_threads(1).enable_time().build(),
            Builder::new_current_thread().enable_time().build(),
        ] {
            let workers = workers.unwrap();
            let late = {
                let _inside = workers.enter();
                assert!(Hand::new(call(&mut service, post("/ada"))).poll().is_some());
                Hand::queued(call(&mut late, post("/grace")))
            };
            assert_eq!(locks.len(), 2);
            drop(workers);
            assert!(!locks.is_locked("ada"), "its task is gone");
            drop(late);
            assert!(locks.is_empty(), "there is no task to keep it");
        }
    });
}

#[test]
fn without_a_runtime_that_has_timers_there_is_a_panic_and_no_key_stays() {
    let locks = locks();
    let mut service = around(
        &held_at_least(&locks),
        service_fn(|_: Request<Body>| -> std::future::Ready<Answer> { panic!("it is not called") }),
    );
    let panic = panic_of(|| drop(call(&mut service, post("/ada"))));
    assert!(panic.contains("runtime"), "{panic}");
    assert!(locks.is_empty());
    let without_timers = Builder::new_current_thread().build().unwrap();
    let _inside = without_timers.enter();
    let panic = panic_of(|| drop(call(&mut service, post("/ada"))));
    assert!(panic.contains("timers are disabled"), "{panic}");
    assert!(locks.is_empty());
}
