//! Clients that hang up: while they wait, while they hold, while a body comes.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::routing::any;
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use latchwork::axum::Outcome;
use std::io;
use std::sync::{Arc, Mutex};

use crate::client::{Line, ask, asked};
use crate::server::{LONG, Stage, layer, run, serve, until, waiters};

#[test]
fn a_client_that_hangs_up_while_it_waits_leaves_the_queue() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG);
        let served = serve(stage.router().layer(layer.clone())).await;
        let held = locks.try_lock("ada").unwrap();
        let waits = Line::asking(served.addr, "POST", "/ada").await;
        until(|| waiters(&locks, "ada") == 1).await;
        drop(waits);
        until(|| waiters(&locks, "ada") == 0).await;
        assert_eq!(layer.counts().of(Outcome::Cancelled), 1);
        drop(held);
        assert!(locks.is_empty());
        assert_eq!(layer.counts().requests(), 1);
        assert!(stage.held().is_empty(), "the handler never ran");
        assert_eq!(locks.stats().cancelled, 1);
    });
}

#[test]
fn those_behind_a_client_that_hangs_up_are_served_in_their_order() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG);
        let served = serve(stage.router().layer(layer.clone())).await;
        let first = asked(served.addr, "POST", "/ada");
        stage.begun.pass().await;
        let mut lines = Vec::new();
        for queue in 1..=4 {
            lines.push(Line::asking(served.addr, "POST", "/ada").await);
            until(|| waiters(&locks, "ada") == queue).await;
        }
        // One in the middle, and then the next in turn.
        drop(lines.remove(1));
        until(|| waiters(&locks, "ada") == 3).await;
        drop(lines.remove(0));
        until(|| waiters(&locks, "ada") == 2).await;
        stage.go.open();
        assert_eq!(first.await.unwrap().status, 200);
        for mut line in lines {
            stage.begun.pass().await;
            stage.go.open();
            assert_eq!(line.answer().await.unwrap().status, 200);
        }
        let counts = layer.counts();
        let seen = [Outcome::Acquired, Outcome::Waited, Outcome::Cancelled].map(|outcome| counts.of(outcome));
        assert_eq!((seen, counts.requests()), ([1, 2, 2], 5));
        assert_eq!(stage.held(), [true; 3]);
        assert!(locks.is_empty());
    });
}

#[test]
fn a_client_that_hangs_up_in_the_handler_frees_its_key_after_what_the_handler_holds() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks);
        let served = serve(stage.router().layer(layer.clone())).await;
        let line = Line::asking(served.addr, "POST", "/ada").await;
        stage.begun.pass().await;
        assert!(ask(served.addr, "POST", "/ada").await.refuses_with(409));
        drop(line);
        until(|| locks.is_empty()).await;
        assert_eq!(stage.held(), [true], "the handler was dropped, with the key");
        assert_eq!(stage.ended(), 0);
        stage.go.open_wide();
        assert_eq!(ask(served.addr, "POST", "/ada").await.status, 200);
        let counts = layer.counts();
        assert_eq!((counts.of(Outcome::Acquired), counts.of(Outcome::Busy), counts.requests()), (2, 1, 3));
    });
}

#[test]
fn the_next_in_turn_has_the_key_of_a_client_that_hangs_up_in_the_handler() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let served = serve(stage.router().layer(layer(&locks).wait(LONG))).await;
        let line = Line::asking(served.addr, "POST", "/ada").await;
        stage.begun.pass().await;
        let next = asked(served.addr, "POST", "/ada");
        until(|| waiters(&locks, "ada") == 1).await;
        drop(line);
        stage.begun.pass().await;
        assert_eq!(stage.held(), [true]);
        stage.go.open();
        assert_eq!(next.await.unwrap().status, 200);
        assert!(locks.is_empty());
    });
}

/// The chunks of the next answer.
type Next = Arc<Mutex<Option<UnboundedReceiver<Bytes>>>>;

/// Answers with what the test sends, and a probe that goes with the body.
fn streaming(stage: &Stage, next: &Next) -> Router {
    let stream = async |State((stage, next)): State<(Stage, Next)>| {
        let chunks = next.lock().unwrap().take().expect("one answer at a time");
        let probe = stage.probe("ada");
        Body::from_stream(chunks.map(move |chunk| {
            let _ = &probe;
            io::Result::Ok(chunk)
        }))
    };
    Router::new().route("/ada", any(stream)).with_state((stage.clone(), next.clone()))
}

#[test]
fn a_key_that_is_held_until_the_bodys_end_is_free_when_the_client_is_gone() {
    run(async {
        let (stage, next) = (Stage::new(), Next::default());
        let locks = stage.locks.clone();
        let layer = layer(&locks).hold_until_body_end(true);
        let served = serve(streaming(&stage, &next).layer(layer.clone())).await;
        let (send, chunks) = unbounded();
        *next.lock().unwrap() = Some(chunks);
        let mut line = Line::asking(served.addr, "POST", "/ada").await;
        assert_eq!(line.head().await.unwrap().status, 200);
        for chunk in ["one", "two"] {
            send.unbounded_send(Bytes::from(chunk)).unwrap();
            assert_eq!(line.chunk().await.unwrap().unwrap(), chunk.as_bytes());
            assert!(ask(served.addr, "POST", "/ada").await.refuses_with(409), "its body is not at its end");
        }
        drop(line);
        until(|| locks.is_empty()).await;
        assert_eq!(stage.held(), [true], "the body was dropped, with the key");
        assert!(send.is_closed());
        assert_eq!(layer.counts().requests(), 3);
    });
}

#[test]
fn a_key_that_is_held_until_the_bodys_end_is_free_when_it_has_come() {
    run(async {
        let (stage, next) = (Stage::new(), Next::default());
        let locks = stage.locks.clone();
        let layer = layer(&locks).hold_until_body_end(true);
        let served = serve(streaming(&stage, &next).layer(layer)).await;
        let mut line = Line::open(served.addr).await;
        for _ in 0..2 {
            let (send, chunks) = unbounded();
            *next.lock().unwrap() = Some(chunks);
            line.ask(&[("POST", "/ada")]).await;
            assert_eq!(line.head().await.unwrap().status, 200);
            send.unbounded_send(Bytes::from("all")).unwrap();
            assert_eq!(line.chunk().await.unwrap().unwrap(), b"all");
            assert!(locks.is_locked("ada"));
            drop(send);
            assert_eq!(line.chunk().await.unwrap(), None);
            until(|| locks.is_empty()).await;
        }
    });
}

#[test]
fn a_key_is_free_once_the_head_is_there_though_its_body_is_not() {
    run(async {
        let (stage, next) = (Stage::new(), Next::default());
        let locks = stage.locks.clone();
        let layer = layer(&locks);
        let served = serve(streaming(&stage, &next).layer(layer.clone())).await;
        let mut lines = Vec::new();
        for _ in 0..3 {
            let (send, chunks) = unbounded();
            *next.lock().unwrap() = Some(chunks);
            let mut line = Line::asking(served.addr, "POST", "/ada").await;
            assert_eq!(line.head().await.unwrap().status, 200);
            assert!(locks.is_empty());
            lines.push((line, send));
        }
        for (mut line, send) in lines {
            send.unbounded_send(Bytes::from("late")).unwrap();
            assert_eq!(line.chunk().await.unwrap().unwrap(), b"late");
            drop(line);
            until(|| send.is_closed()).await;
        }
        assert_eq!(stage.held(), [false; 3], "the bodies outlived the key");
        assert_eq!(layer.counts().of(Outcome::Acquired), 3);
    });
}
