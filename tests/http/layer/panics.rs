//! Whoever panics, wherever it is called from: no key stays, and the next request has it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use latchwork::{KeyedLock, keyed::Timing};
use latchwork::{layer::KeyedLockLayer, web::Problem};
use tower::Service;

use super::service::{by_path, call, post};
use crate::support::Hand;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Key,
    Observer,
    Render,
    Ready,
    Call,
    Poll,
    Drop,
    BodyPoll,
    BodyDrop,
}

const PLACES: [Place; 9] = [
    Place::Key,
    Place::Observer,
    Place::Render,
    Place::Ready,
    Place::Call,
    Place::Poll,
    Place::Drop,
    Place::BodyPoll,
    Place::BodyDrop,
];

/// Where it is to panic next: once.
#[derive(Clone)]
struct Bomb(Arc<AtomicUsize>);

impl Bomb {
    fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(usize::MAX)))
    }

    fn set(&self, place: Place) {
        self.0.store(place as usize, Ordering::SeqCst);
    }

    fn is_off(&self) -> bool {
        self.0.load(Ordering::SeqCst) == usize::MAX
    }

    fn pass(&self, place: Place) {
        let here = place as usize;
        if self.0.compare_exchange(here, usize::MAX, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            panic!("asked for");
        }
    }
}

struct Falls(Bomb, Place);

impl Drop for Falls {
    fn drop(&mut self) {
        self.0.pass(self.1);
    }
}

#[derive(Clone)]
struct Shaky(Bomb);

impl Service<Request<Body>> for Shaky {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.pass(Place::Ready);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        self.0.pass(Place::Call);
        let (bomb, falls) = (self.0.clone(), Falls(self.0.clone(), Place::Drop));
        Box::pin(async move {
            let _falls = falls;
            bomb.pass(Place::Poll);
            let body_falls = Falls(bomb.clone(), Place::BodyDrop);
            let mut is_over = false;
            let body = stream::poll_fn(move |_| {
                let _falls = &body_falls;
                bomb.pass(Place::BodyPoll);
                let frame = Frame::data(Bytes::from_static(b"soup"));
                let next = (!std::mem::replace(&mut is_over, true)).then_some(Ok::<_, io::Error>(frame));
                Poll::Ready(next)
            });
            Ok(Response::new(Body::new(StreamBody::new(body))))
        })
    }
}

#[test]
fn whatever_panics_leaves_no_key() {
    for place in PLACES {
        for to_body_end in [false, true] {
            let (bomb, observed, keyed, rendered) = (Bomb::new(), Bomb::new(), Bomb::new(), Bomb::new());
            let observer = observed.clone();
            let observe = move |_: Timing| observer.pass(Place::Observer);
            let locks = Arc::new(KeyedLock::<String>::builder().observe_times(observe).build());
            let (to_key, to_render) = (keyed.clone(), rendered.clone());
            let key = move |parts: &Parts| {
                to_key.pass(Place::Key);
                by_path(parts)
            };
            let render = move |problem: &Problem| {
                to_render.pass(Place::Render);
                Response::builder().status(problem.status()).body("").unwrap()
            };
            let layer =
                KeyedLockLayer::new(locks.clone(), key).hold_until_body_end(to_body_end).render(render);
            let mut service = tower::Layer::layer(&layer, Shaky(bomb.clone()));

            let bombs = [&bomb, &observed, &keyed, &rendered];
            bombs.iter().for_each(|bomb| bomb.set(place));
            let held = (place == Place::Render).then(|| locks.try_lock("ada").unwrap());
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let answer = Hand::new(call(&mut service, post("/ada"))).poll().unwrap().unwrap();
                drop(Hand::new(answer.into_body().collect()).poll());
            }));
            assert!(panicked.is_err() && bombs.iter().any(|bomb| bomb.is_off()), "{place:?}");
            drop(held);
            assert!(locks.is_empty(), "{place:?}, {to_body_end}");
            let mut task = Context::from_waker(Waker::noop());
            assert!(service.poll_ready(&mut task).is_ready());
            let next = Hand::new(service.call(post("/ada"))).poll().unwrap().unwrap();
            assert_eq!(next.status(), StatusCode::OK);
            drop(next);
            assert!(locks.is_empty());
        }
    }
}
