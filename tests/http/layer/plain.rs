//! Plain tower services with bodies that are not axum's.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use latchwork::layer::{CoalesceLayer, KeyedLockLayer, by};
use latchwork::versioned::{Expect, VersionedMap};
use latchwork::web::{IfMatch, IfNoneMatch, Problem, Tagged};
use tower::{Layer, ServiceExt, service_fn};

use super::service::{Locks, locks};
use crate::support::Hand;

type Plain = Result<Response<Full<Bytes>>, Infallible>;

fn ask(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).body(Empty::new()).unwrap()
}

#[test]
fn a_plain_service_is_locked_and_refused_without_axum() {
    let locks: Locks = locks();
    let inner = {
        let locks = locks.clone();
        service_fn(move |request: Request<Empty<Bytes>>| {
            assert!(locks.is_locked(&request.uri().path()[1..]));
            async { Plain::Ok(Response::new(Full::from("a plan"))) }
        })
    };
    let lock = KeyedLockLayer::new(locks.clone(), by(|parts| Some(parts.uri.path()[1..].to_owned())));
    let service = lock.layer(inner);
    let read = async |path: &str| {
        let (head, body) = service.clone().oneshot(ask(path)).await.unwrap().into_parts();
        (head.status, body.collect().await.unwrap().to_bytes())
    };
    let (status, body) = Hand::new(read("/ada")).poll().unwrap();
    assert_eq!((status, body), (StatusCode::OK, "a plan".into()));
    let _held = locks.try_lock("ada").unwrap();
    let (status, body) = Hand::new(read("/ada")).poll().unwrap();
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(body.starts_with(b"{") && String::from_utf8_lossy(&body).contains("\"the key is busy\""));
}

#[test]
fn a_plain_service_shares_its_answer() {
    let inner = service_fn(async |_: Request<Empty<Bytes>>| {
        tokio::task::yield_now().await;
        Plain::Ok(Response::new(Full::from("the menu")))
    });
    let layer = CoalesceLayer::<String, _>::new(by(|parts| Some(parts.uri.to_string())));
    let service = layer.layer(inner);
    let both =
        futures::future::join(service.clone().oneshot(ask("/menu")), service.clone().oneshot(ask("/menu")));
    let (one, two) = futures::executor::block_on(both);
    for answer in [one, two] {
        let body = futures::executor::block_on(answer.unwrap().into_body().collect()).unwrap().to_bytes();
        assert_eq!(body, "the menu");
    }
    assert_eq!((layer.counts().flights, layer.counts().joined), (1, 1));
}

/// A handler of a plain service that edits a card.
fn edit(cards: &VersionedMap<&'static str, &'static str>, head: &http::request::Parts) -> Response<String> {
    let saved = IfMatch::require(head)
        .and_then(|known| cards.update("ada", &known, |_| "Augusta").map_err(|error| known.refuse(error)));
    match saved {
        Ok(saved) => Tagged::new(saved.stamp(), Response::new(saved.to_string())).response(),
        Err(problem) => problem.response(),
    }
}

#[test]
fn a_plain_service_reads_preconditions_and_answers_with_tags() {
    let cards = VersionedMap::<&str, &str>::new();
    let first = cards.upsert("ada", Expect::Absent, "Ada").unwrap();
    let head =
        |name: &str, value: &str| Request::get("/").header(name, value).body(()).unwrap().into_parts().0;
    let (none, ()) = Request::put("/").body(()).unwrap().into_parts();
    let tag = first.stamp.etag();
    assert_eq!(edit(&cards, &none).status(), 428);
    assert_eq!(edit(&cards, &head("if-match", "7")).status(), 400);
    let saved = edit(&cards, &head("if-match", &tag));
    assert_eq!((saved.status().as_u16(), saved.body().as_str()), (200, "Augusta"));
    let refused = edit(&cards, &head("if-match", &tag));
    assert_eq!((refused.status().as_u16(), &refused.headers()["etag"]), (412, &saved.headers()["etag"]));
    assert_eq!(
        refused.extensions().get::<Problem>().map(Problem::status),
        Some(StatusCode::PRECONDITION_FAILED)
    );

    let known = IfNoneMatch::read(&head("if-none-match", saved.headers()["etag"].to_str().unwrap())).unwrap();
    let now = cards.get("ada").unwrap();
    let answer = Tagged::new(now.stamp(), Response::new(now.to_string())).not_modified_for(known.as_ref());
    let answer = answer.response();
    assert_eq!((answer.status().as_u16(), answer.body().as_str()), (304, ""));
}
