//! Requests that do not get their key, and handlers that panic with it.

use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures::{FutureExt, stream};
use latchwork::layer::Outcome;

use super::client::{Line, ask, asked};
use super::server::{LONG, SHORT, Stage, layer, locks, run, run_each, serve, until, waiters};

#[test]
fn a_busy_key_is_refused_with_409_and_others_are_not() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        stage.go.open_wide();
        let layer = layer(&locks);
        let served = serve(stage.router().layer(layer.clone())).await;
        let held = locks.try_lock("ada").unwrap();
        let mut line = Line::open(served.addr).await;
        for _ in 0..3 {
            line.ask(&[("POST", "/ada")]).await;
            assert!(line.answer().await.unwrap().refuses_with(409), "and the connection is still good");
        }
        assert_eq!(ask(served.addr, "POST", "/grace").await.status, 200);
        drop(held);
        line.ask(&[("POST", "/ada")]).await;
        assert_eq!(line.answer().await.unwrap().status, 200);
        assert_eq!((layer.stats().of(Outcome::Busy), layer.stats().of(Outcome::Acquired)), (3, 2));
        assert!(locks.is_empty());
    });
}

#[test]
fn a_wait_that_takes_too_long_is_refused_with_503() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(SHORT);
        let served = serve(stage.router().layer(layer.clone())).await;
        let held = locks.try_lock("ada").unwrap();
        assert!(ask(served.addr, "POST", "/ada").await.refuses_with(503));
        assert_eq!(waiters(&locks, "ada"), 0);
        drop(held);
        assert!(locks.is_empty());
        assert_eq!((layer.stats().of(Outcome::TimedOut), layer.stats().requests()), (1, 1));
        assert!(stage.held().is_empty(), "the handler never ran");
    });
}

#[test]
fn too_many_that_wait_are_refused_with_503_at_once() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG).max_waiters(2);
        let served = serve(stage.router().layer(layer.clone())).await;
        let first = asked(served.addr, "POST", "/ada");
        stage.begun.pass().await;
        let waiting = [asked(served.addr, "POST", "/ada"), asked(served.addr, "POST", "/ada")];
        until(|| waiters(&locks, "ada") == 2).await;
        assert!(ask(served.addr, "POST", "/ada").await.refuses_with(503));
        assert_eq!(layer.stats().of(Outcome::QueueFull), 1);
        stage.go.open_wide();
        for answer in [first].into_iter().chain(waiting) {
            assert_eq!(answer.await.unwrap().status, 200);
        }
        assert_eq!((layer.stats().of(Outcome::Waited), layer.stats().requests()), (2, 4));
        assert!(locks.is_empty());
    });
}

#[test]
fn a_handler_that_panics_frees_its_key_for_those_who_wait() {
    run_each([(false, false), (true, false), (false, true), (true, true)], |(catch, detached)| async move {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG).detached(detached);
        let panicking = {
            let stage = stage.clone();
            Router::new().route(
                "/ada",
                any(async move || -> &str {
                    let _probe = stage.probe("ada");
                    stage.begun.open();
                    stage.go.pass().await;
                    panic!("asked for");
                }),
            )
        };
        let other = Stage { locks: locks.clone(), ..Stage::new() };
        let app = panicking.merge(other.router()).layer(layer.clone());
        let app = if catch { app.layer(from_fn(caught)) } else { app };
        let served = serve(app).await;
        let unmoved = asked(served.addr, "POST", "/grace");
        other.begun.pass().await;
        let mut first = Line::asking(served.addr, "POST", "/ada").await;
        stage.begun.pass().await;
        let mut second = Line::asking(served.addr, "POST", "/ada").await;
        until(|| waiters(&locks, "ada") == 1).await;
        stage.go.open();
        stage.begun.pass().await;
        assert_eq!(stage.held(), [true], "the next has the key, and the first one's probe is gone");
        stage.go.open();
        for line in [&mut first, &mut second] {
            match line.answer().await {
                Ok(answer) => assert!(catch && answer.status == 500, "{answer:?}"),
                Err(_) => assert!(!catch, "the connection should be good"),
            }
        }
        // A connection that a panic ends is closed before its request is dropped.
        until(|| !locks.is_locked("ada")).await;
        assert_eq!(stage.held(), [true, true]);
        assert!(locks.is_locked("grace"));
        other.go.open();
        assert_eq!(unmoved.await.unwrap().status, 200);
        assert_eq!((layer.stats().of(Outcome::Acquired), layer.stats().of(Outcome::Waited)), (2, 1));
        assert!(locks.is_empty());
    });
}

async fn caught(request: axum::extract::Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[test]
fn a_body_that_panics_or_fails_frees_the_key_that_is_held_until_its_end() {
    run(async {
        let locks = locks();
        let layer = layer(&locks).hold_until_body_end(true);
        let body = async |Path(how): Path<String>| {
            let first = stream::iter([Ok(Bytes::from("one"))]);
            let then = stream::once(async move {
                assert_ne!(how, "panics", "asked for");
                Err::<Bytes, _>("asked for")
            });
            Body::from_stream(futures::StreamExt::chain(first, then))
        };
        let served = serve(Router::new().route("/{how}", any(body)).layer(layer)).await;
        for path in ["/panics", "/fails"] {
            let mut line = Line::asking(served.addr, "POST", path).await;
            assert!(line.answer().await.is_err(), "its body has no end");
            until(|| locks.is_empty()).await;
        }
    });
}
