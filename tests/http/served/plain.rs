//! A service of hyper's, without axum, for HTTP/1.1 and HTTP/2 on the same listener.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

use axum::body::Bytes;
use axum::http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use latchwork::layer::Outcome;
use tokio::net::TcpListener;
use tower::{Layer, Service, service_fn};

use super::client::{Line, Trunk, ask, asked};
use super::server::{ByPathLayer, LONG, Stage, layer, run, run_each, until, waiters};

/// Handlers of every path.
fn handlers(stage: &Stage) -> impl Inner {
    let stage = stage.clone();
    service_fn(move |request: Request<Incoming>| {
        let stage = stage.clone();
        async move {
            let body = stage.play(request.uri().path()[1..].to_owned()).await;
            Answer::Ok(Response::new(Full::new(Bytes::from(body))))
        }
    })
}

type Answer = Result<Response<Full<Bytes>>, Infallible>;

trait Inner:
    Service<Request<Incoming>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + 'static
{
}

impl<T> Inner for T where
    T: Service<
            Request<Incoming>,
            Response = Response<Full<Bytes>>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static
{
}

/// Accepts until the runtime ends.
async fn serve_plain(inner: impl Inner, layer: &ByPathLayer) -> SocketAddr {
    let service = TowerToHyperService::new(layer.layer(inner));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                // How a connection ends is the client's to see.
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    addr
}

#[test]
fn a_plain_service_has_one_lock_for_both_protocols() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks);
        let addr = serve_plain(handlers(&stage), &layer).await;
        let trunk = Trunk::open(addr).await;
        let by_line = asked(addr, "POST", "/ada");
        let by_trunk = trunk.asked(Method::POST, "/grace");
        for _ in 0..2 {
            stage.begun.pass().await;
        }
        for path in ["/ada", "/grace"] {
            assert!(ask(addr, "POST", path).await.refuses_with(409));
            assert!(trunk.asked(Method::POST, path).await.unwrap().unwrap().refuses_with(409));
        }
        stage.go.open_wide();
        assert_eq!(by_line.await.unwrap().body, "ada");
        assert_eq!(by_trunk.await.unwrap().unwrap().body, "grace");
        assert_eq!(ask(addr, "POST", "/").await.status, 200);
        let seen = [Outcome::Acquired, Outcome::Busy, Outcome::NoKey];
        assert_eq!(seen.map(|outcome| layer.stats().of(outcome)), [2, 4, 1]);
        assert!(locks.is_empty());
    });
}

#[test]
fn clients_of_a_plain_service_may_hang_up_at_any_time() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG).hold_until_body_end(true);
        let addr = serve_plain(handlers(&stage), &layer).await;
        let line = Line::asking(addr, "POST", "/ada").await;
        stage.begun.pass().await;
        let trunk = Trunk::open(addr).await;
        let stream = trunk.asked(Method::POST, "/ada");
        until(|| waiters(&locks, "ada") == 1).await;
        let another = trunk.asked(Method::POST, "/ada");
        until(|| waiters(&locks, "ada") == 2).await;
        drop(line);
        stage.begun.pass().await;
        assert_eq!(stage.held(), [true], "the stream has the key of the line that is gone");
        stream.abort();
        stage.begun.pass().await;
        assert_eq!(stage.held(), [true; 2], "and the other stream that of the one that was reset");
        trunk.hang_up();
        until(|| locks.is_empty()).await;
        assert!(another.await.unwrap().is_err());
        assert_eq!((stage.held(), stage.ended()), (vec![true; 3], 0));
        assert_eq!((layer.stats().of(Outcome::Acquired), layer.stats().of(Outcome::Waited)), (1, 2));
    });
}

#[test]
fn bodies_of_a_plain_service_come_whole_with_the_key_held_to_their_end() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        stage.go.open_wide();
        let layer = layer(&locks).hold_until_body_end(true);
        let addr = serve_plain(handlers(&stage), &layer).await;
        let long = format!("/{}", "a".repeat(10_000));
        let trunk = Trunk::open(addr).await;
        for _ in 0..3 {
            assert_eq!(ask(addr, "POST", &long).await.body, long[1..]);
            until(|| locks.is_empty()).await;
            assert_eq!(trunk.asked(Method::POST, &long).await.unwrap().unwrap().body, long[1..]);
            until(|| locks.is_empty()).await;
        }
        assert_eq!(layer.stats().of(Outcome::Acquired), 6);
    });
}

#[test]
fn what_a_future_keeps_when_it_is_ready_is_dropped_before_the_key_is_free() {
    run_each([false, true], |detached| async move {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let keeps = {
            let stage = stage.clone();
            service_fn(move |_: Request<Incoming>| {
                let probe = stage.probe("ada");
                poll_fn(move |_| {
                    let _ = &probe;
                    Poll::Ready(Answer::Ok(Response::new(Full::default())))
                })
            })
        };
        let addr = serve_plain(keeps, &layer(&locks).detached(detached)).await;
        assert_eq!(ask(addr, "POST", "/ada").await.status, 200);
        assert_eq!(stage.held(), [true]);
        assert!(locks.is_empty());
    });
}
