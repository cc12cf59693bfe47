//! Several requests on one HTTP/1.1 connection, written before the first is answered.

use latchwork::layer::Outcome;

use super::client::{Line, ask};
use super::server::{LONG, Stage, layer, run, run_each, serve, until, waiters};

#[test]
fn pipelined_requests_of_one_key_do_not_meet_each_other() {
    run_each([false, true], |hold| async move {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        stage.go.open_wide();
        let layer = layer(&locks).hold_until_body_end(hold);
        let served = serve(stage.router().layer(layer.clone())).await;
        let mut line = Line::open(served.addr).await;
        line.ask(&[("POST", "/ada"); 8]).await;
        for _ in 0..8 {
            let answer = line.answer().await.unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (200, "ada"));
        }
        until(|| locks.is_empty()).await;
        assert_eq!(layer.stats().of(Outcome::Acquired), 8);
        assert_eq!(stage.held(), [true; 8]);
    });
}

#[test]
fn pipelined_requests_are_answered_in_order_and_hold_one_key_at_a_time() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let served = serve(stage.router().layer(layer(&locks))).await;
        let mut line = Line::open(served.addr).await;
        let paths = ["/ada", "/grace", "/ada", "/edsger"];
        line.ask(&paths.map(|path| ("POST", path))).await;
        for path in paths {
            stage.begun.pass().await;
            let held: Vec<_> = locks.snapshot().iter().map(|view| view.key().clone()).collect();
            assert_eq!(held, [&path[1..]]);
            stage.go.open();
            assert_eq!(line.answer().await.unwrap().body, path[1..]);
        }
        assert!(locks.is_empty());
    });
}

#[test]
fn a_refusal_in_a_pipeline_is_answered_in_its_place() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        stage.go.open_wide();
        let layer = layer(&locks);
        let served = serve(stage.router().layer(layer.clone())).await;
        let held = locks.try_lock("grace").unwrap();
        let mut line = Line::open(served.addr).await;
        line.ask(&["/ada", "/grace", "/edsger"].map(|path| ("POST", path))).await;
        assert_eq!(line.answer().await.unwrap().body, "ada");
        assert!(line.answer().await.unwrap().refuses_with(409));
        assert_eq!(line.answer().await.unwrap().body, "edsger");
        drop(held);
        assert!(locks.is_empty());
        assert_eq!(layer.stats().requests(), 3);
    });
}

#[test]
fn another_connection_has_its_turn_between_pipelined_requests() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG);
        let served = serve(stage.router().layer(layer.clone())).await;
        let mut line = Line::open(served.addr).await;
        line.ask(&[("POST", "/ada"); 2]).await;
        stage.begun.pass().await;
        let mut other = Line::asking(served.addr, "POST", "/ada").await;
        until(|| waiters(&locks, "ada") == 1).await;
        stage.go.open_wide();
        assert_eq!(line.answer().await.unwrap().status, 200);
        assert_eq!(other.answer().await.unwrap().status, 200);
        assert_eq!(line.answer().await.unwrap().status, 200);
        assert_eq!(layer.stats().requests(), 3);
        assert!(locks.is_empty());
    });
}

#[test]
fn a_client_that_hangs_up_on_its_pipeline_leaves_no_key() {
    run(async {
        let stage = Stage::new();
        let locks = stage.locks.clone();
        let layer = layer(&locks).wait(LONG);
        let served = serve(stage.router().layer(layer.clone())).await;
        let mut line = Line::open(served.addr).await;
        line.ask(&[("POST", "/ada"); 3]).await;
        stage.begun.pass().await;
        drop(line);
        // With more to read the server may not notice: then it goes on until it does.
        stage.go.open_wide();
        until(|| locks.is_empty() && !stage.held().is_empty()).await;
        assert_eq!(ask(served.addr, "POST", "/ada").await.status, 200);
        served.stop().await;
        assert!(locks.is_empty());
        let ran = stage.held();
        assert!(ran.iter().all(|held| *held) && ran.len() <= 4, "{ran:?}");
        assert_eq!(layer.stats().requests(), ran.len() as u64);
    });
}
