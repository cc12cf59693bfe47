//! A service that counts its calls, and what requests get of it.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use latchwork::layer::{CoalesceLayer, CoalesceService, SharedBody};
use tower::Service;

use crate::layer::service::{ByPath, Gate, around, by_path, call};
use crate::support::Hand;

pub(crate) type Pages = CoalesceLayer<String, ByPath>;
pub(crate) type Cooked = Result<Response<Body>, &'static str>;
pub(crate) type Cook = fn(usize) -> Cooked;

/// What is read of a body, and whether it has trailers; or how it breaks off.
pub(crate) type Tasted = Result<(Bytes, bool), String>;

pub(crate) fn layer() -> Pages {
    CoalesceLayer::new(by_path as ByPath)
}

/// A service that stops at its gate, counts its calls and makes each response anew.
#[derive(Clone)]
pub(crate) struct Menu {
    pub(crate) gate: Gate,
    calls: Arc<AtomicUsize>,
    cook: Arc<dyn Fn(usize) -> Cooked + Send + Sync>,
}

impl Menu {
    pub(crate) fn new(cook: impl Fn(usize) -> Cooked + Send + Sync + 'static) -> Self {
        Self { gate: Gate::new(), calls: Arc::default(), cook: Arc::new(cook) }
    }

    /// One that answers all calls at once.
    pub(crate) fn open(cook: impl Fn(usize) -> Cooked + Send + Sync + 'static) -> Self {
        let menu = Self::new(cook);
        (0..100).for_each(|_| menu.gate.open());
        menu
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn behind(&self, layer: &Pages) -> CoalesceService<Self, String, ByPath> {
        around(layer, self.clone())
    }
}

impl Service<Request<Body>> for Menu {
    type Response = Response<Body>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Cooked> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let Self { gate, calls, cook } = self.clone();
        Box::pin(async move {
            let nth = calls.fetch_add(1, Ordering::SeqCst);
            gate.pass().await;
            cook(nth)
        })
    }
}

pub(crate) fn frames(frames: impl IntoIterator<Item = io::Result<Frame<Bytes>>>) -> Body {
    let frames: VecDeque<_> = frames.into_iter().collect();
    Body::new(StreamBody::new(stream::iter(frames)))
}

pub(crate) fn data(text: &'static str) -> io::Result<Frame<Bytes>> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

pub(crate) fn trailers() -> io::Result<Frame<Bytes>> {
    Ok(Frame::trailers(HeaderMap::from_iter([(header::ETAG, "\"7\"".parse().unwrap())])))
}

/// An answer in two frames, with trailers.
pub(crate) fn soup(nth: usize) -> Cooked {
    answer(nth, StatusCode::NON_AUTHORITATIVE_INFORMATION, frames([data("so"), data("up"), trailers()]))
}

pub(crate) fn answer(nth: usize, status: StatusCode, body: Body) -> Cooked {
    Ok(Response::builder().status(status).header("x-nth", nth).body(body).unwrap())
}

/// Status, which call it was, text and trailers of an answer; an error's text if it breaks off.
pub(crate) fn taste(answer: Response<SharedBody<Body>>) -> (u16, String, Tasted) {
    let nth = answer.headers().get("x-nth").map_or("", |nth| nth.to_str().unwrap()).to_owned();
    let status = answer.status().as_u16();
    let body = Hand::new(answer.into_body().collect()).poll().unwrap();
    let body = body.map_err(|error| error.to_string()).map(|body| {
        let has_trailers = body.trailers().is_some();
        (body.to_bytes(), has_trailers)
    });
    (status, nth, body)
}

/// What becomes of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Shared,
    /// Each request that joined has called the service.
    Alone,
    /// One of them has.
    Failed,
}

/// Three equal requests, of which the first is answered.
pub(crate) fn fate(layer: &Pages, menu: &Menu, request: impl Fn() -> Request<Body>) -> Fate {
    let mut service = menu.behind(layer);
    let mut guests = [(); 3].map(|()| Hand::queued(call(&mut service, request())));
    assert_eq!((menu.calls(), layer.counts().joined), (1, 2));
    menu.gate.open();
    assert!(guests[0].poll().is_some());
    let answered = guests[1..].iter_mut().filter_map(Hand::poll).count();
    let fate = match menu.calls() {
        1 => Fate::Shared,
        2 => Fate::Failed,
        3 => Fate::Alone,
        calls => panic!("{calls} calls"),
    };
    assert_eq!(answered, if fate == Fate::Shared { 2 } else { 0 });
    fate
}
