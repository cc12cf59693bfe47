//! Clients that hang up: while they wait, while they hold. What bodies do is in `bodies`.

use latchwork::layer::Outcome;

use super::client::{Line, ask, asked};
use super::server::{LONG, Stage, layer, run, serve, until, waiters};

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
        assert_eq!(layer.stats().of(Outcome::Cancelled), 1);
        drop(held);
        assert!(locks.is_empty());
        assert_eq!(layer.stats().requests(), 1);
        assert!(stage.held().is_empty(), "the handler never ran");
        assert_eq!(locks.counts().cancelled, 1);
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
        let counts = layer.stats();
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
        let counts = layer.stats();
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
