//! Many streams on one HTTP/2 connection.

use axum::Router;
use axum::http::Method;
use axum::routing::any;
use futures::future::join_all;
use latchwork::layer::Outcome;

use super::client::Trunk;
use super::server::{LONG, Stage, layer, run, serve, until, waiters};

const STREAMS: usize = 60;

#[test]
fn streams_of_one_key_have_it_one_after_the_other() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG);
        let served = serve(stage.router().layer(layer.clone())).await;
        let trunk = Trunk::open(served.addr).await;
        let streams: Vec<_> = (0..STREAMS).map(|_| trunk.asked(Method::POST, "/ada")).collect();
        until(|| waiters(&locks, "ada") == STREAMS - 1).await;
        for turn in 0..STREAMS {
            stage.begun.pass().await;
            assert_eq!(stage.ended(), turn, "the one before is at its end");
            stage.go.open();
        }
        for answer in join_all(streams).await {
            assert_eq!(answer.unwrap().unwrap().status, 200);
        }
        assert_eq!(stage.held(), [true; STREAMS]);
        let counts = layer.stats();
        assert_eq!((counts.of(Outcome::Acquired), counts.requests()), (1, STREAMS as u64));
        assert!(locks.is_empty());
    });
}

#[test]
fn streams_of_different_keys_are_in_their_handlers_together() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks);
        let served = serve(stage.router().layer(layer.clone())).await;
        let trunk = Trunk::open(served.addr).await;
        let streams: Vec<_> =
            (0..STREAMS).map(|stream| trunk.asked(Method::POST, &format!("/{stream}"))).collect();
        for _ in 0..STREAMS {
            stage.begun.pass().await;
        }
        assert_eq!((locks.len(), stage.ended()), (STREAMS, 0));
        let again = trunk.asked(Method::POST, "/7").await.unwrap().unwrap();
        assert!(again.refuses_with(409), "{again:?}");
        stage.go.open_wide();
        for (stream, answer) in join_all(streams).await.into_iter().enumerate() {
            assert_eq!(answer.unwrap().unwrap().body, stream.to_string());
        }
        assert_eq!(layer.stats().of(Outcome::Acquired), STREAMS as u64);
        assert!(locks.is_empty());
    });
}

#[test]
fn a_stream_that_is_reset_frees_its_key_only() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG);
        let served = serve(stage.router().layer(layer.clone())).await;
        let trunk = Trunk::open(served.addr).await;
        let ada = trunk.asked(Method::POST, "/ada");
        let grace = trunk.asked(Method::POST, "/grace");
        for _ in 0..2 {
            stage.begun.pass().await;
        }
        let next = trunk.asked(Method::POST, "/grace");
        until(|| waiters(&locks, "grace") == 1).await;
        ada.abort();
        until(|| !locks.is_locked("ada")).await;
        assert_eq!(stage.held(), [true]);
        assert_eq!((locks.len(), waiters(&locks, "grace")), (1, 1));
        next.abort();
        until(|| waiters(&locks, "grace") == 0).await;
        assert_eq!((layer.stats().of(Outcome::Cancelled), locks.is_locked("grace")), (1, true));
        stage.go.open_wide();
        assert_eq!(grace.await.unwrap().unwrap().status, 200);
        assert_eq!(trunk.asked(Method::POST, "/ada").await.unwrap().unwrap().status, 200);
        assert_eq!(layer.stats().requests(), 4);
        assert!(locks.is_empty());
    });
}

#[test]
fn a_stream_whose_handler_panics_frees_its_key_only() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks);
        let panicking = Router::new().route("/panics", any(async || -> &str { panic!("asked for") }));
        let served = serve(panicking.merge(stage.router()).layer(layer.clone())).await;
        let trunk = Trunk::open(served.addr).await;
        let other = trunk.asked(Method::POST, "/ada");
        stage.begun.pass().await;
        for _ in 0..3 {
            assert!(trunk.asked(Method::POST, "/panics").await.unwrap().is_err());
            until(|| !locks.is_locked("panics")).await;
        }
        assert!(locks.is_locked("ada"));
        stage.go.open();
        assert_eq!(other.await.unwrap().unwrap().status, 200);
        assert_eq!(layer.stats().of(Outcome::Acquired), 4);
        assert!(locks.is_empty());
    });
}

#[test]
fn a_connection_that_is_lost_frees_the_keys_of_all_its_streams() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG);
        let served = serve(stage.router().layer(layer.clone())).await;
        let (lost, other) = (Trunk::open(served.addr).await, Trunk::open(served.addr).await);
        let mut streams = Vec::new();
        for key in 0..10 {
            streams.push(lost.asked(Method::POST, &format!("/{key}")));
            stage.begun.pass().await;
            streams.push(lost.asked(Method::POST, &format!("/{key}")));
            until(|| waiters(&locks, &key.to_string()) == 1).await;
        }
        let kept = other.asked(Method::POST, "/ada");
        stage.begun.pass().await;
        lost.hang_up();
        until(|| locks.len() == 1).await;
        for stream in streams {
            assert!(stream.await.unwrap().is_err());
        }
        // Each stream is dropped by itself: one that waits may get its key from the first before it hears of the end.
        let held = stage.held();
        assert!(held.len() >= 10 && held.iter().all(|held| *held), "{held:?}");
        assert!(locks.is_locked("ada"));
        stage.go.open();
        assert_eq!(kept.await.unwrap().unwrap().status, 200);
        let counts = layer.stats();
        let began_late = held.len() - 10;
        assert_eq!(counts.of(Outcome::Acquired), 11);
        assert_eq!(counts.of(Outcome::Waited), began_late as u64);
        assert_eq!(counts.of(Outcome::Cancelled), 10 - began_late as u64);
        assert!(locks.is_empty());
    });
}
