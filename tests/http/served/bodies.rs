//! Bodies: a key that is held until the end of one, and one that is not.

use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{any, get};
use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::stream::repeat;
use latchwork::layer::{OnLost, Outcome};

use super::client::{Line, ask, asked};
use super::server::{LONG, Stage, layer, run, serve, until, waiters};
use crate::layer::remote::{Remote, Reply};

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
        assert_eq!(layer.stats().requests(), 3);
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
fn a_body_that_is_cut_by_the_loss_of_its_lock_is_seen_as_a_part() {
    run(async {
        let (stage, next) = (Stage::new(), Next::default());
        let remote = Remote::new(Reply::Grant, None);
        let layer = remote.layer().hold_until_body_end(true).on_lost(OnLost::Abort);
        let served = serve(streaming(&stage, &next).layer(layer.clone())).await;
        let (send, chunks) = unbounded();
        *next.lock().unwrap() = Some(chunks);
        let mut line = Line::asking(served.addr, "POST", "/ada").await;
        assert_eq!(line.head().await.unwrap().status, 200);
        send.unbounded_send(Bytes::from("one")).unwrap();
        assert_eq!(line.chunk().await.unwrap().unwrap(), b"one");
        remote.loss.happen();
        assert!(line.chunk().await.is_err(), "there is no last chunk");
        assert!(send.is_closed() && remote.locks.is_empty());
        assert_eq!((layer.stats().of(Outcome::Lost), layer.stats().requests()), (1, 1));
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
        for (ended, (mut line, send)) in lines.into_iter().enumerate() {
            send.unbounded_send(Bytes::from("late")).unwrap();
            assert_eq!(line.chunk().await.unwrap().unwrap(), b"late");
            drop(line);
            // The probe is the last of what the body keeps.
            until(|| stage.held().len() > ended).await;
            assert!(send.is_closed());
        }
        assert_eq!(stage.held(), [false; 3], "the bodies outlived the key");
        assert_eq!(layer.stats().of(Outcome::Acquired), 3);
    });
}

#[test]
fn a_body_that_is_never_sent_holds_no_key() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).hold_until_body_end(true);
        let app = Router::new()
            .route("/text", get(async || "not for HEAD"))
            .route("/nothing", any(async || (StatusCode::NO_CONTENT, "not with 204")))
            .layer(layer.clone());
        let served = serve(app).await;
        let mut line = Line::open(served.addr).await;
        for _ in 0..3 {
            for (method, path, status) in [("HEAD", "/text", 200), ("POST", "/nothing", 204)] {
                line.ask(&[(method, path)]).await;
                assert_eq!(line.head().await.unwrap().status, status);
                until(|| locks.is_empty()).await;
            }
        }
        assert_eq!(layer.stats().of(Outcome::Acquired), 6);
    });
}

#[test]
fn a_client_that_does_not_read_holds_its_key_until_it_is_gone() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG).hold_until_body_end(true);
        // More than what fits into the buffers on the way.
        let endless = async || Body::from_stream(repeat(Bytes::from_static(&[0; 65536])).map(io::Result::Ok));
        let served =
            serve(Router::new().route("/ada", any(endless)).merge(stage.router()).layer(layer.clone())).await;
        let mut line = Line::asking(served.addr, "POST", "/ada").await;
        assert_eq!(line.head().await.unwrap().status, 200);
        let mut next = Line::asking(served.addr, "POST", "/ada").await;
        until(|| waiters(&locks, "ada") == 1).await;
        let other = asked(served.addr, "POST", "/grace");
        stage.go.open();
        assert_eq!(other.await.unwrap().status, 200);
        drop(line);
        assert_eq!(next.head().await.unwrap().status, 200);
        drop(next);
        until(|| locks.is_empty()).await;
        assert_eq!(layer.stats().requests(), 3);
    });
}

#[test]
fn a_client_that_hangs_up_on_its_own_body_frees_its_key() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks);
        let read = {
            let stage = stage.clone();
            async move |body: Body| {
                let _probe = stage.probe("ada");
                let mut frames = body.into_data_stream();
                while let Some(Ok(_)) = frames.next().await {
                    stage.begun.open();
                }
            }
        };
        let served = serve(Router::new().route("/ada", any(read)).layer(layer.clone())).await;
        let mut line = Line::open(served.addr).await;
        line.write("POST /ada HTTP/1.1\r\nhost: here\r\ncontent-length: 10\r\n\r\nfour").await;
        stage.begun.pass().await;
        assert!(ask(served.addr, "POST", "/ada").await.refuses_with(409), "six are still to come");
        drop(line);
        until(|| locks.is_empty()).await;
        assert_eq!(stage.held(), [true]);
        assert_eq!(layer.stats().requests(), 2);
    });
}
