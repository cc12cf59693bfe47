//! Calls that get their key, and calls that are none of the layer's business.

use latchwork::layer::{CoalesceLayer, Outcome, by};

use super::kitchen::{Guest, Locks, by_user, serve};
use crate::served::server::{LONG, Stage, run, until};

#[test]
fn a_call_with_its_key_is_answered_and_one_with_another_key_does_not_wait() {
    run(async {
        let (stage, locks) = (Stage::new(), Locks::default());
        let layer = by_user(&locks);
        let mut guest = Guest::open(serve(&stage, layer.clone()).await).await;
        let first = tokio::spawn({
            let mut guest = guest.clone();
            async move { guest.cook("7", "soup").await }
        });
        stage.begun.pass().await;
        assert!(locks.is_locked(7));
        stage.go.open_wide();
        assert_eq!(guest.cook("8", "rice").await.unwrap(), "rice");
        assert_eq!(first.await.unwrap().unwrap(), "soup");
        assert!(locks.is_empty());
        assert_eq!((layer.stats().of(Outcome::Acquired), layer.stats().requests()), (2, 2));
    });
}

#[test]
fn a_stream_comes_through_whole_and_keeps_its_key_to_its_end_if_told_so() {
    run(async {
        let (stage, locks) = (Stage::new(), Locks::default());
        let layer = by_user(&locks).hold_until_body_end(true);
        let mut guest = Guest::open(serve(&stage, layer).await).await;
        let mut courses = guest.courses("7", "soup rice cake").await.unwrap();
        for course in ["soup", "rice", "cake"] {
            stage.go.open();
            assert_eq!(courses.message().await.unwrap().unwrap(), course);
            assert!(course == "cake" || locks.is_locked(7));
        }
        assert_eq!(courses.message().await.unwrap(), None, "its trailers say that it is whole");
        until(|| locks.is_empty()).await;
    });
}

#[test]
fn a_client_that_gives_up_leaves_no_key_and_no_wait() {
    run(async {
        let (stage, locks) = (Stage::new(), Locks::default());
        let layer = by_user(&locks).wait(LONG);
        let guest = Guest::open(serve(&stage, layer.clone()).await).await;
        let calls: Vec<_> = (0..2)
            .map(|_| {
                let mut guest = guest.clone();
                tokio::spawn(async move { guest.cook("7", "soup").await })
            })
            .collect();
        until(|| locks.snapshot().iter().any(|view| view.waiters() == 1)).await;
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        until(|| locks.is_empty()).await;
        assert_eq!(layer.stats().requests(), 2);
    });
}

#[test]
fn a_layer_that_coalesces_passes_calls_on_one_by_one() {
    run(async {
        let stage = Stage::new();
        let layer = CoalesceLayer::<String, _>::new(by(|parts| Some(parts.uri.path().to_owned())));
        let guest = Guest::open(serve(&stage, layer.clone()).await).await;
        let calls = ["soup", "rice"].map(|what| {
            let mut guest = guest.clone();
            tokio::spawn(async move { guest.cook("7", what).await })
        });
        for _ in 0..2 {
            stage.begun.pass().await;
        }
        stage.go.open_wide();
        for (call, what) in calls.into_iter().zip(["soup", "rice"]) {
            assert_eq!(call.await.unwrap().unwrap(), what);
        }
        let mut courses = guest.clone().courses("7", "cake").await.unwrap();
        assert_eq!(courses.message().await.unwrap().unwrap(), "cake");
        assert_eq!(courses.message().await.unwrap(), None);
        assert_eq!(layer.counts().joined, 0);
    });
}
