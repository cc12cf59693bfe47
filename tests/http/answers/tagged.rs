//! Answers with the stamp of what they show, and 304.

use axum::http::header::IF_NONE_MATCH;
use axum::http::{Method, StatusCode};
use latchwork::web::{IfNoneMatch, Problem, Tagged};

use super::server::{Answer, extract, stamp};

fn known(method: Method, header: &str) -> Option<IfNoneMatch> {
    Some(extract(method, IF_NONE_MATCH, &[header.as_bytes()]).expect("it is well-formed"))
}

#[test]
fn a_success_is_tagged_and_a_refusal_is_not() {
    let answer = Answer::of(Tagged::new(stamp(7), (StatusCode::CREATED, "Ada")));
    assert_eq!(
        (answer.status, answer.header("etag"), &answer.body[..]),
        (StatusCode::CREATED, Some("\"7\""), &b"Ada"[..])
    );
    let refused = Err::<&str, _>(Problem::queue_full());
    let refused =
        Answer::of(Tagged::new(stamp(7), refused).not_modified_for(known(Method::GET, "*").as_ref()));
    assert_eq!((refused.status.as_u16(), refused.header("etag")), (503, None));
}

#[test]
fn who_has_the_version_gets_304_without_the_body() {
    let headers = [
        ("cache-control", "max-age=60"),
        ("vary", "accept"),
        ("content-location", "/cards/ada"),
        ("x-else", "1"),
        ("content-type", "text/plain"),
        ("content-length", "3"),
    ];
    for method in [Method::GET, Method::HEAD] {
        for header in ["\"7\"", "W/\"7\"", "\"x\", \"7\"", "*"] {
            let known = known(method.clone(), header);
            let answer = Answer::of(Tagged::new(stamp(7), (headers, "Ada")).not_modified_for(known.as_ref()));
            assert_eq!((answer.status.as_u16(), &answer.body[..]), (304, &b""[..]), "{method} {header}");
            let mut names: Vec<_> = answer.headers.keys().map(|name| name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["cache-control", "content-location", "etag", "vary"]);
            assert_eq!(answer.header("etag"), Some("\"7\""));
        }
    }
}

#[test]
fn who_has_another_version_or_none_gets_this_one() {
    for known in [None, known(Method::GET, "\"6\""), known(Method::GET, "\"07\"")] {
        let answer = Answer::of(Tagged::new(stamp(7), "Ada").not_modified_for(known.as_ref()));
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"Ada"[..]), "{known:?}");
    }
}

#[test]
fn a_write_is_never_answered_with_304() {
    for method in [Method::PUT, Method::POST, Method::PATCH, Method::DELETE] {
        let known = known(method, "\"7\"");
        assert_eq!(Answer::of(Tagged::new(stamp(7), "Ada").not_modified_for(known.as_ref())).status, 200);
    }
}
