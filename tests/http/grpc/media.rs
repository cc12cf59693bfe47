//! Which requests are answered as gRPC.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response};
use http_body::Body as _;
use proptest::collection::vec;
use proptest::prelude::*;
use tower::service_fn;

use crate::layer::service::{Answer, around, call, layer, locks};
use crate::support::Hand;

/// The answer to a POST with this content type whose key is busy.
fn refused(content_type: &HeaderValue) -> Response<latchwork::layer::HeldBody<Body>> {
    refused_with(Method::POST, content_type)
}

fn refused_with(method: Method, content_type: &HeaderValue) -> Response<latchwork::layer::HeldBody<Body>> {
    let locks = locks();
    let called = AtomicUsize::new(0);
    let calls: &'static AtomicUsize = Box::leak(Box::new(called));
    let inner = service_fn(move |_: Request<Body>| {
        calls.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Answer::Ok(Response::new(Body::empty())))
    });
    let _held = locks.try_lock("ada").unwrap();
    let request = Request::builder().method(method).uri("/ada").header("content-type", content_type);
    let request = request.body(Body::empty()).unwrap();
    let answer = Hand::new(call(&mut around(&layer(&locks), inner), request)).poll().unwrap().unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 0, "the handler never runs without the key");
    answer
}

fn is_grpc(answer: &Response<latchwork::layer::HeldBody<Body>>) -> bool {
    let is_grpc = answer.headers().contains_key("grpc-status");
    let as_http = (409, &HeaderValue::from_static("application/problem+json"), false);
    let (status, content_type) = (answer.status().as_u16(), &answer.headers()["content-type"]);
    if is_grpc {
        assert_eq!((status, answer.body().is_end_stream()), (200, true));
        assert!(!answer.headers().contains_key("retry-after"));
    } else {
        assert_eq!((status, content_type, answer.body().is_end_stream()), as_http);
    }
    is_grpc
}

#[test]
fn every_way_to_write_grpc_is_answered_as_grpc_with_its_own_type() {
    let types = [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc+json",
        "application/grpc-web",
        "application/grpc-web+proto",
        "application/grpc-web-text",
        "application/grpc-web-text+proto",
        "Application/GRPC",
    ];
    for media in types {
        for parameters in ["", ";charset=utf-8", " ; a=b; c"] {
            let answer = refused(&HeaderValue::from_str(&format!("{media}{parameters}")).unwrap());
            assert!(is_grpc(&answer), "{media}{parameters}");
            assert_eq!(answer.headers()["content-type"], media);
            assert_eq!(answer.headers()["cache-control"], "no-store");
        }
    }
    let others = [
        "",
        "application/json",
        "application/grp",
        "application/grpcs",
        "application/grpc-weber",
        "application/grpc-text",
        "application/grpc/proto",
        "application/grpc, application/json",
        "application/grpc+proto, text/html",
        "text/plain; application/grpc",
        "+proto",
        ";",
    ];
    for media in others {
        assert!(!is_grpc(&refused(&HeaderValue::from_str(media).unwrap())), "{media}");
    }
}

#[test]
fn only_a_post_is_answered_as_grpc() {
    let media = HeaderValue::from_static("application/grpc");
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
        assert!(!is_grpc(&refused_with(method.clone(), &media)), "{method}");
    }
}

proptest! {
    #[test]
    fn no_content_type_breaks_the_answer(
        is_close in any::<bool>(),
        bytes in vec(prop_oneof![Just(b'\t'), 32_u8..127, 128_u8..=255], 0..40),
    ) {
        let mut media = if is_close { b"application/grpc".to_vec() } else { Vec::new() };
        media.extend(bytes);
        let _ = is_grpc(&refused(&HeaderValue::from_bytes(&media).unwrap()));
    }
}
