//! The layer among others of tower's: a buffer, a limit, load that is shed, a timeout.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::http::StatusCode;
use latchwork::layer::Outcome;
use tokio::sync::Semaphore;
use tower::buffer::BufferLayer;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};

use super::client::{Line, ask, asked};
use super::server::{ByPathLayer, LONG, SHORT, Stage, layer, run, run_each, serve, until, waiters};

/// The status of what the layers around ours refuse.
async fn refused(error: BoxError) -> StatusCode {
    if error.is::<tower::load_shed::error::Overloaded>() {
        StatusCode::IM_A_TEAPOT
    } else if error.is::<tower::timeout::error::Elapsed>() {
        StatusCode::GATEWAY_TIMEOUT
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}

const SHED: u16 = 418;

/// Who finds no place is shed: so many places are there for those in the handlers and those who wait for a key.
fn limited(stage: &Stage, layer: &ByPathLayer, places: &Arc<Semaphore>) -> Router {
    Router::new().fallback_service(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(refused))
            .layer(LoadShedLayer::new())
            .layer(layer.clone())
            .layer(GlobalConcurrencyLimitLayer::with_semaphore(places.clone()))
            .service(stage.router()),
    )
}

/// The layer in the worker of a buffer, with a limit inside.
fn buffered(stage: &Stage, layer: &ByPathLayer, places: &Arc<Semaphore>) -> Router {
    Router::new().fallback_service(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(refused))
            .layer(BufferLayer::new(64))
            .layer(layer.clone())
            .layer(GlobalConcurrencyLimitLayer::with_semaphore(places.clone()))
            .service(stage.router()),
    )
}

#[test]
fn a_request_that_is_shed_takes_no_key() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks);
        let places = Arc::new(Semaphore::new(1));
        let served = serve(limited(&stage, &layer, &places)).await;
        let first = asked(served.addr, "POST", "/ada");
        stage.begun.pass().await;
        for path in ["/ada", "/grace"] {
            assert_eq!(ask(served.addr, "POST", path).await.status, SHED);
        }
        assert_eq!((locks.len(), layer.stats().requests()), (1, 1));
        stage.go.open_wide();
        assert_eq!(first.await.unwrap().status, 200);
        for path in ["/ada", "/grace"] {
            assert_eq!(ask(served.addr, "POST", path).await.status, 200);
        }
        assert!(locks.is_empty());
        assert_eq!((layer.stats().of(Outcome::Acquired), places.available_permits()), (3, 1));
    });
}

#[test]
fn a_request_that_is_refused_gives_its_place_in_the_limit_back() {
    run_each(
        [
            |layer: ByPathLayer| layer,
            |layer: ByPathLayer| layer.wait(SHORT),
            |layer: ByPathLayer| layer.wait(LONG).max_waiters(0),
        ],
        |policy| async move {
            let stage = Stage::new();
            let locks = stage.locks.clone();
            let layer = policy(layer(&locks));
            let places = Arc::new(Semaphore::new(2));
            let served = serve(limited(&stage, &layer, &places)).await;
            let first = asked(served.addr, "POST", "/ada");
            stage.begun.pass().await;
            for _ in 0..5 {
                let refused = ask(served.addr, "POST", "/ada").await;
                assert!(refused.refuses_with(409) || refused.refuses_with(503), "{refused:?}");
                assert_eq!(places.available_permits(), 1);
            }
            let second = asked(served.addr, "POST", "/grace");
            stage.begun.pass().await;
            assert_eq!(ask(served.addr, "POST", "/edsger").await.status, SHED, "now it is full");
            stage.go.open_wide();
            for answer in [first, second] {
                assert_eq!(answer.await.unwrap().status, 200);
            }
            assert_eq!((layer.stats().of(Outcome::Acquired), layer.stats().requests()), (2, 7));
            assert_eq!(places.available_permits(), 2);
            assert!(locks.is_empty());
        },
    );
}

#[test]
fn a_request_that_waits_has_a_place_in_the_limit_until_it_is_given_up() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG);
        let places = Arc::new(Semaphore::new(2));
        let served = serve(limited(&stage, &layer, &places)).await;
        let first = asked(served.addr, "POST", "/ada");
        stage.begun.pass().await;
        for round in 1..=3 {
            let waits = Line::asking(served.addr, "POST", "/ada").await;
            until(|| waiters(&locks, "ada") == 1).await;
            assert_eq!(ask(served.addr, "POST", "/grace").await.status, SHED);
            drop(waits);
            until(|| places.available_permits() == 1).await;
            assert_eq!(layer.stats().of(Outcome::Cancelled), round);
        }
        let second = asked(served.addr, "POST", "/grace");
        stage.begun.pass().await;
        stage.go.open_wide();
        for answer in [first, second] {
            assert_eq!(answer.await.unwrap().status, 200);
        }
        assert!(locks.is_empty());
    });
}

#[test]
fn in_a_buffer_a_request_that_waits_does_not_stop_those_of_other_keys() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG);
        let places = Arc::new(Semaphore::new(8));
        let served = serve(buffered(&stage, &layer, &places)).await;
        let first = asked(served.addr, "POST", "/ada");
        stage.begun.pass().await;
        let second = asked(served.addr, "POST", "/ada");
        until(|| waiters(&locks, "ada") == 1).await;
        let given_up = Line::asking(served.addr, "POST", "/ada").await;
        until(|| waiters(&locks, "ada") == 2).await;
        let other = asked(served.addr, "POST", "/grace");
        stage.begun.pass().await;
        drop(given_up);
        until(|| waiters(&locks, "ada") == 1).await;
        assert_eq!(layer.stats().of(Outcome::Cancelled), 1);
        stage.go.open_wide();
        for answer in [first, second, other] {
            assert_eq!(answer.await.unwrap().status, 200);
        }
        assert!(locks.is_empty());
        let seen = [Outcome::Acquired, Outcome::Waited].map(|outcome| layer.stats().of(outcome));
        assert_eq!((seen, layer.stats().requests()), ([2, 1], 4));
    });
}

#[test]
fn in_a_buffer_with_a_limit_of_one_nothing_gets_stuck() {
    run_each(
        [
            |layer: ByPathLayer| layer,
            |layer: ByPathLayer| layer.wait(LONG),
            |layer: ByPathLayer| layer.wait(LONG).detached(true).share_guard(true),
        ],
        |policy| async move {
            let stage = Stage::new();
            let locks = stage.locks.clone();
            stage.go.open_wide();
            let layer = policy(layer(&locks));
            let places = Arc::new(Semaphore::new(1));
            let served = serve(buffered(&stage, &layer, &places)).await;
            // Refused while the worker has the limit's only place: the place is still there for the next.
            let held = locks.try_lock("ada").unwrap();
            let first = asked(served.addr, "POST", "/ada");
            until(|| layer.stats().of(Outcome::Busy) + waiters(&locks, "ada") as u64 == 1).await;
            drop(held);
            assert!(matches!(first.await.unwrap().status, 200 | 409));
            let answers: Vec<_> = (0..60)
                .map(|number| asked(served.addr, "POST", ["/ada", "/grace", "/"][number % 3]))
                .collect();
            for answer in answers {
                assert_eq!(answer.await.unwrap().status, 200, "one at a time is in the service");
            }
            served.stop().await;
            assert!(locks.is_empty());
            assert_eq!(layer.stats().requests(), 61);
        },
    );
}

#[test]
fn a_timeout_around_the_layer_gives_up_waits_and_frees_keys() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG);
        let around = |timeout: Duration| {
            let layers = ServiceBuilder::new()
                .layer(HandleErrorLayer::new(refused))
                .layer(TimeoutLayer::new(timeout))
                .layer(layer.clone());
            stage.router().layer(layers)
        };
        let (hasty, patient) = (serve(around(SHORT)).await, serve(around(LONG)).await);
        assert_eq!(ask(hasty.addr, "POST", "/ada").await.status, 504);
        stage.begun.pass().await;
        assert!(locks.is_empty());
        assert_eq!(stage.held(), [true], "the handler was dropped, with the key");
        let held = locks.try_lock("ada").unwrap();
        assert_eq!(ask(hasty.addr, "POST", "/ada").await.status, 504);
        assert_eq!((waiters(&locks, "ada"), layer.stats().of(Outcome::Cancelled)), (0, 1));
        drop(held);
        assert!(locks.is_empty());
        stage.go.open();
        assert_eq!(ask(patient.addr, "POST", "/ada").await.status, 200);
        assert_eq!((layer.stats().of(Outcome::Acquired), layer.stats().requests()), (2, 3));
    });
}

#[test]
fn a_timeout_around_a_detached_handler_leaves_it_its_key() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layers = ServiceBuilder::new()
            .layer(HandleErrorLayer::new(refused))
            .layer(TimeoutLayer::new(SHORT))
            .layer(layer(&locks).detached(true));
        let served = serve(stage.router().layer(layers)).await;
        assert_eq!(ask(served.addr, "POST", "/ada").await.status, 504);
        assert!(ask(served.addr, "POST", "/ada").await.refuses_with(409));
        stage.go.open();
        locks.drained().await;
        assert_eq!((stage.ended(), stage.held()), (1, vec![true]));
    });
}
