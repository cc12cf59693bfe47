//! Handlers that finish although their client is gone, and servers that shut down.

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use futures::poll;
use latchwork::layer::Outcome;

use super::client::{Line, Trunk, ask, asked};
use super::server::{Gate, LONG, Stage, layer, run, serve, until, waiters};

/// Opens `gone` when the server has answered a request or dropped it, outside of all layers.
fn told(app: Router, gone: &Gate) -> Router {
    struct Opens(Gate);
    impl Drop for Opens {
        fn drop(&mut self) {
            self.0.open();
        }
    }
    let gone = gone.clone();
    app.layer(from_fn(move |request: Request, next: Next| {
        let opens = Opens(gone.clone());
        async move {
            let _opens = opens;
            next.run(request).await
        }
    }))
}

#[test]
fn a_detached_handler_keeps_its_key_to_its_end_though_the_client_hangs_up() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).detached(true);
        let gone = Gate::new();
        let served = serve(told(stage.router().layer(layer.clone()), &gone)).await;
        for round in 1..=3 {
            let line = Line::asking(served.addr, "POST", "/ada").await;
            stage.begun.pass().await;
            drop(line);
            gone.pass().await;
            for _ in 0..3 {
                assert!(ask(served.addr, "POST", "/ada").await.refuses_with(409));
                gone.pass().await;
            }
            assert_eq!(stage.ended(), round - 1);
            stage.go.open();
            locks.drained().await;
            assert_eq!(stage.ended(), round);
        }
        assert_eq!(stage.held(), [true; 3]);
        assert_eq!((layer.stats().of(Outcome::Acquired), layer.stats().of(Outcome::Busy)), (3, 9));
    });
}

#[test]
fn the_next_waits_for_a_detached_handler_whose_client_is_gone() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG).detached(true);
        let served = serve(stage.router().layer(layer.clone())).await;
        let line = Line::asking(served.addr, "POST", "/ada").await;
        stage.begun.pass().await;
        let next = asked(served.addr, "POST", "/ada");
        until(|| waiters(&locks, "ada") == 1).await;
        let given_up = Line::asking(served.addr, "POST", "/ada").await;
        until(|| waiters(&locks, "ada") == 2).await;
        drop((line, given_up));
        until(|| waiters(&locks, "ada") == 1).await;
        let cancelled = layer.stats().of(Outcome::Cancelled);
        assert_eq!((cancelled, stage.ended()), (1, 0), "a wait is given up, a handler is not");
        stage.go.open();
        stage.begun.pass().await;
        assert_eq!(stage.ended(), 1);
        stage.go.open();
        assert_eq!(next.await.unwrap().status, 200);
        assert_eq!((stage.held(), layer.stats().requests()), (vec![true, true], 3));
        assert!(locks.is_empty());
    });
}

#[test]
fn a_stream_that_is_reset_or_lost_does_not_end_its_detached_handler() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).detached(true);
        let gone = Gate::new();
        let served = serve(told(stage.router().layer(layer.clone()), &gone)).await;
        let trunk = Trunk::open(served.addr).await;
        let reset = trunk.asked(Method::POST, "/ada");
        let lost = trunk.asked(Method::POST, "/grace");
        for _ in 0..2 {
            stage.begun.pass().await;
        }
        reset.abort();
        gone.pass().await;
        for path in ["/ada", "/grace"] {
            assert!(trunk.asked(Method::POST, path).await.unwrap().unwrap().refuses_with(409));
            gone.pass().await;
        }
        trunk.hang_up();
        gone.pass().await;
        assert!(lost.await.unwrap().is_err());
        served.stop().await;
        assert_eq!((locks.len(), stage.ended()), (2, 0), "no connection is left, and both are at work");
        stage.go.open_wide();
        locks.drained().await;
        assert_eq!((stage.ended(), stage.held()), (2, vec![true; 2]));
    });
}

#[test]
fn a_shutdown_answers_those_who_are_there_and_drains_the_keys_of_those_who_left() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG).detached(true);
        let served = serve(stage.router().layer(layer)).await;
        let addr = served.addr;
        let gone = Line::asking(addr, "POST", "/ada").await;
        stage.begun.pass().await;
        let there = asked(addr, "POST", "/grace");
        stage.begun.pass().await;
        let waits = asked(addr, "POST", "/grace");
        until(|| waiters(&locks, "grace") == 1).await;
        drop(gone);
        let mut stopped = std::pin::pin!(served.stop());
        assert!(poll!(&mut stopped).is_pending());
        // It accepts no more.
        while tokio::net::TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
        stage.go.open();
        until(|| stage.ended() == 1).await;
        stage.go.open();
        until(|| stage.ended() == 2).await;
        stage.begun.pass().await;
        let mut drained = std::pin::pin!(locks.drained());
        assert!(poll!(&mut drained).is_pending(), "the one that waited is at work");
        stage.go.open();
        assert_eq!(there.await.unwrap().status, 200);
        assert_eq!(waits.await.unwrap().status, 200);
        stopped.await;
        drained.await;
        assert_eq!(stage.ended(), 3);
        assert_eq!(stage.held(), [true; 3]);
    });
}

#[test]
fn without_detaching_a_shutdown_leaves_no_key_either() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let served = serve(stage.router().layer(layer(&locks).wait(LONG))).await;
        let first = asked(served.addr, "POST", "/ada");
        stage.begun.pass().await;
        let waits = asked(served.addr, "POST", "/ada");
        until(|| waiters(&locks, "ada") == 1).await;
        let mut stopped = std::pin::pin!(served.stop());
        assert!(poll!(&mut stopped).is_pending());
        stage.go.open_wide();
        stopped.await;
        locks.drained().await;
        for answer in [first, waits] {
            assert_eq!(answer.await.unwrap().status, 200);
        }
    });
}
