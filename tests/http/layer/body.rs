//! Keys that are held until the body's end.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use latchwork::layer::HeldBody;
use tower::service_fn;

use super::service::{Probe, around, call, layer, locks, post};
use crate::support::Hand;

type Frames = UnboundedSender<Result<Frame<Bytes>, io::Error>>;

/// A response whose body is what comes through the channel.
fn streamed() -> (Frames, Response<Body>) {
    let (send, frames) = unbounded();
    (send, Response::new(Body::new(StreamBody::new(frames))))
}

type Next = Option<Result<Frame<Bytes>, Box<dyn std::error::Error + Send + Sync>>>;

fn next(body: &mut HeldBody<Body>) -> Poll<Next> {
    Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
}

/// How a body comes to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Failed,
    Dropped,
    Trailers,
}

#[test]
fn the_key_is_held_until_the_body_ends_however_it_does() {
    for end in [End::Closed, End::Failed, End::Dropped, End::Trailers] {
        let locks = locks();
        let (send, response) = streamed();
        let response = std::sync::Mutex::new(Some(response));
        let response = std::sync::Arc::new(response);
        let inner = service_fn(move |_: Request<Body>| {
            let response = response.lock().unwrap().take().unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        let mut service = around(&layer(&locks).hold_until_body_end(true), inner);
        let mut body = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap().into_body();
        assert!(locks.is_locked("ada") && !body.is_end_stream());
        assert!(next(&mut body).is_pending());
        send.unbounded_send(Ok(Frame::data(Bytes::from_static(b"a")))).unwrap();
        assert!(matches!(next(&mut body), Poll::Ready(Some(Ok(frame))) if frame.is_data()));
        assert!(locks.is_locked("ada"), "{end:?}");
        match end {
            End::Closed => {
                drop(send);
                assert!(matches!(next(&mut body), Poll::Ready(None)));
            }
            End::Failed => {
                send.unbounded_send(Err(io::Error::other("asked for"))).unwrap();
                assert!(matches!(next(&mut body), Poll::Ready(Some(Err(_)))));
            }
            End::Dropped => drop(body),
            End::Trailers => {
                send.unbounded_send(Ok(Frame::trailers(axum::http::HeaderMap::new()))).unwrap();
                drop(send);
                assert!(matches!(next(&mut body), Poll::Ready(Some(Ok(frame))) if frame.is_trailers()));
                assert!(locks.is_locked("ada"), "trailers are a part of the body");
                assert!(matches!(next(&mut body), Poll::Ready(None)));
            }
        }
        assert!(locks.is_empty(), "{end:?}");
    }
}

#[test]
fn an_empty_body_is_at_its_end_at_once() {
    let locks = locks();
    let inner = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::empty())));
    let mut service = around(&layer(&locks).hold_until_body_end(true), inner);
    let _response = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap();
    assert!(locks.is_empty());
}

#[test]
fn a_body_says_what_the_services_own_says() {
    let locks = locks();
    let inner = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::from("12345"))));
    let mut service = around(&layer(&locks).hold_until_body_end(true), inner);
    let mut body = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap().into_body();
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(5), false));
    assert!(matches!(next(&mut body), Poll::Ready(Some(Ok(_)))));
    assert!(body.is_end_stream());
    drop(body);
    let _held = locks.try_lock("ada").unwrap();
    let refused = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap().into_body();
    assert!(refused.size_hint().exact().is_some_and(|size| size > 0) && !refused.is_end_stream());
}

#[test]
fn what_a_body_keeps_goes_before_the_key_also_when_it_is_at_its_end() {
    for fails in [false, true] {
        let (locks, held) = (locks(), Arc::new(Mutex::new(None)));
        let inner = {
            let (locks, held) = (locks.clone(), held.clone());
            service_fn(move |_: Request<Body>| {
                let probe = Probe { locks: locks.clone(), key: "ada", held: held.clone() };
                let body = stream::poll_fn(move |_| {
                    let _probe = &probe;
                    Poll::Ready(fails.then(|| Err::<Frame<Bytes>, _>(io::Error::other("asked for"))))
                });
                let response = Response::new(Body::new(StreamBody::new(body)));
                async move { Ok::<_, Infallible>(response) }
            })
        };
        let mut service = around(&layer(&locks).hold_until_body_end(true), inner);
        let mut body = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap().into_body();
        assert!(matches!(next(&mut body), Poll::Ready(frame) if frame.is_some() == fails));
        assert!(locks.is_empty(), "it is at its end");
        assert_eq!(*held.lock().unwrap(), Some(true), "and what it kept went before");
        assert!(body.is_end_stream() && matches!(next(&mut body), Poll::Ready(None)));
    }
}
