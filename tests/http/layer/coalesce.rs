//! Answers that are shared by all who ask at the same time.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, header, request};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use latchwork::layer::{CoalesceLayer, SharedBody};
use tower::{Layer, Service, service_fn};

use super::drops::{self, slow_soup, stop};
use super::service::{ByPath, Fussy, Gate, around, by_path, call, get, post};
use crate::support::{Hand, panic_of};

/// What is read of a body, and whether it has trailers; or how it breaks off.
type Tasted = Result<(Bytes, bool), String>;
type Frames = VecDeque<Result<Frame<Bytes>, io::Error>>;

fn layer() -> CoalesceLayer<String, ByPath> {
    CoalesceLayer::new(by_path as ByPath)
}

type Cook = fn(usize) -> Result<Response<Body>, &'static str>;

/// A service that stops at its gate, counts its calls and makes each response anew.
#[derive(Clone)]
struct Menu {
    gate: Gate,
    calls: Arc<AtomicUsize>,
    answer: Cook,
}

impl Menu {
    fn new(answer: Cook) -> Self {
        Self { gate: Gate::new(), calls: Arc::default(), answer }
    }

    async fn ask(self) -> Result<Response<Body>, &'static str> {
        let nth = self.calls.fetch_add(1, Ordering::SeqCst);
        self.gate.pass().await;
        (self.answer)(nth)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

macro_rules! serve {
    ($layer:expr, $menu:expr) => {{
        let menu = $menu.clone();
        around(&$layer, service_fn(move |_: Request<Body>| menu.clone().ask()))
    }};
}

fn soup(nth: usize) -> Result<Response<Body>, &'static str> {
    let frames: Frames = [
        Ok(Frame::data(Bytes::from_static(b"so"))),
        Ok(Frame::data(Bytes::from_static(b"up"))),
        Ok(Frame::trailers(HeaderMap::from_iter([(header::ETAG, "\"7\"".parse().unwrap())]))),
    ]
    .into();
    let body = Body::new(StreamBody::new(stream::iter(frames)));
    Ok(Response::builder().status(StatusCode::ACCEPTED).header("x-nth", nth).body(body).unwrap())
}

/// Status, which call it was, text and trailer of an answer; an error's text if it breaks off.
fn taste(answer: Response<SharedBody<Body>>) -> (u16, String, Tasted) {
    let nth = answer.headers().get("x-nth").map_or("", |nth| nth.to_str().unwrap()).to_owned();
    let status = answer.status().as_u16();
    let body = Hand::new(answer.into_body().collect()).poll().unwrap();
    let body = body.map_err(|error| error.to_string()).map(|body| {
        let has_trailers = body.trailers().is_some();
        (body.to_bytes(), has_trailers)
    });
    (status, nth, body)
}

#[test]
fn all_who_ask_at_the_same_time_get_the_answer_of_one_call() {
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = serve!(layer, menu);
    let mut asked: Vec<_> = (0..5).map(|_| Hand::queued(call(&mut service, get("/soup")))).collect();
    let mut other = Hand::queued(call(&mut service, get("/salad")));
    assert_eq!(menu.calls(), 2);
    menu.gate.open();
    menu.gate.open();
    for guest in &mut asked {
        let answer = taste(guest.poll().unwrap().unwrap());
        assert_eq!(answer, (202, "0".into(), Ok(("soup".into(), true))));
    }
    assert_eq!(taste(other.poll().unwrap().unwrap()).1, "1");
    let counts = layer.counts();
    assert_eq!((counts.flights, counts.joined, counts.under_way), (2, 4, 0));

    // Nothing is cached.
    menu.gate.open();
    assert_eq!(taste(Hand::new(call(&mut service, get("/soup"))).poll().unwrap().unwrap()).1, "2");
}

#[test]
fn what_is_for_one_request_alone_is_not_shared() {
    let alone: [fn(request::Builder) -> request::Builder; 11] = [
        |request| request.method(Method::HEAD),
        |request| request.method(Method::POST),
        |request| request.header(header::RANGE, "bytes=0-1"),
        |request| request.header(header::IF_NONE_MATCH, "\"7\""),
        |request| request.header(header::IF_MODIFIED_SINCE, "Wed, 25 Nov 2026 00:00:00 GMT"),
        |request| request.header(header::AUTHORIZATION, "Bearer ada"),
        |request| request.header(header::COOKIE, "session=ada"),
        |request| request.header(header::PROXY_AUTHORIZATION, "Bearer ada"),
        |request| request.header(header::CONNECTION, "upgrade").header(header::UPGRADE, "websocket"),
        |request| request.header(header::ACCEPT, "text/html").header(header::ACCEPT, "text/plain"),
        |request| request.uri("/"),
    ];
    for (nth, alone) in alone.into_iter().enumerate() {
        let (layer, menu) = (layer(), Menu::new(soup));
        let mut service = serve!(layer, menu);
        let request = || alone(Request::get("/soup")).body(Body::empty()).unwrap();
        let _both =
            [Hand::queued(call(&mut service, request())), Hand::queued(call(&mut service, request()))];
        assert_eq!((menu.calls(), layer.counts().flights), (2, 0), "{nth}");
    }
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = serve!(layer, menu);
    let request = || Request::get("/soup").body(Body::from("with a body")).unwrap();
    let _both = [Hand::queued(call(&mut service, request())), Hand::queued(call(&mut service, request()))];
    assert_eq!((menu.calls(), layer.counts().flights), (2, 0));
}

#[test]
fn credentials_are_shared_only_if_the_key_tells_users_apart() {
    let (layer, menu) = (layer().share_credentials(true), Menu::new(soup));
    let mut service = serve!(layer, menu);
    let request =
        || Request::get("/ada/soup").header(header::COOKIE, "session=ada").body(Body::empty()).unwrap();
    let _both = [Hand::queued(call(&mut service, request())), Hand::queued(call(&mut service, request()))];
    assert_eq!((menu.calls(), layer.counts().joined), (1, 1));
}

#[test]
fn who_accepts_something_else_does_not_join() {
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = serve!(layer, menu);
    let request = |accept| Request::get("/soup").header(header::ACCEPT, accept).body(Body::empty()).unwrap();
    let _guests = [
        Hand::queued(call(&mut service, request("text/html"))),
        Hand::queued(call(&mut service, request("text/html"))),
        Hand::queued(call(&mut service, request("text/plain"))),
        Hand::queued(call(&mut service, get("/soup"))),
    ];
    assert_eq!((menu.calls(), layer.counts().joined), (3, 1));
}

#[test]
fn who_asks_another_host_does_not_join() {
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = serve!(layer, menu);
    // As HTTP/1.1 says it, and as HTTP/2 does.
    let named = |host| Request::get("/soup").header(header::HOST, host).body(Body::empty()).unwrap();
    let _guests = [
        Hand::queued(call(&mut service, named("acme.example"))),
        Hand::queued(call(&mut service, named("globex.example"))),
        Hand::queued(call(&mut service, get("https://acme.example/soup"))),
        Hand::queued(call(&mut service, get("https://globex.example/soup"))),
        Hand::queued(call(&mut service, get("https://globex.example/soup"))),
    ];
    assert_eq!((menu.calls(), layer.counts().joined), (4, 1));
}

#[test]
fn an_answer_that_says_that_it_is_not_for_all_is_not_shared() {
    /// What two who ask at the same time get of a service that answers with this header.
    fn is_shared(layer: &CoalesceLayer<String, ByPath>, name: HeaderName, value: &'static str) -> bool {
        let mut service = around(
            layer,
            service_fn(move |_: Request<Body>| {
                let name = name.clone();
                async move {
                    stop().await;
                    let answer = Response::builder().header(name, value.as_bytes()).body(Body::from("soup"));
                    Ok::<_, Infallible>(answer.unwrap())
                }
            }),
        );
        let mut both =
            [Hand::queued(call(&mut service, get("/soup"))), Hand::queued(call(&mut service, get("/soup")))];
        assert!(both[0].poll_while_woken().is_some());
        both[1].poll().is_some()
    }
    let cases = [
        (header::CACHE_CONTROL, "private", false),
        (header::CACHE_CONTROL, "max-age=3, Private=\"x-user\"", false),
        (header::CACHE_CONTROL, "no-store", false),
        (header::CACHE_CONTROL, "private, of=\"Zoë\"", false),
        (header::CACHE_CONTROL, "public, max-age=3", true),
        (header::VARY, "*", false),
        (header::VARY, "Accept, X-Tenant", false),
        (header::VARY, "User-Agent", false),
        (header::VARY, "Zoë", false),
        (header::VARY, "", true),
        // What those who share an answer have in common.
        (header::VARY, "Accept , accept-encoding,Origin, Cookie, Access-Control-Request-Method", true),
        // It would not come to its end.
        (header::CONTENT_TYPE, "Text/Event-Stream; charset=utf-8", false),
        (header::CONTENT_TYPE, "text/plain", true),
    ];
    for (name, value, expected) in cases {
        assert_eq!(is_shared(&layer(), name, value), expected, "{value}");
    }
    // Where the key tells users apart, what is one user's own is for all who share it.
    let by_user = layer().share_credentials(true);
    assert!(is_shared(&by_user, header::CACHE_CONTROL, "private"));
    assert!(!is_shared(&by_user, header::CACHE_CONTROL, "private, no-store"));
}

#[test]
fn when_the_leader_hangs_up_another_leads() {
    let (layer, menu) = (layer(), Menu::new(soup));
    let mut service = serve!(layer, menu);
    let leader = Hand::queued(call(&mut service, get("/soup")));
    let mut two = Hand::queued(call(&mut service, get("/soup")));
    let mut three = Hand::queued(call(&mut service, get("/soup")));
    drop(leader);
    assert!(two.is_woken() && !three.is_woken());
    assert!(three.poll().is_none() && two.poll().is_none(), "one of them leads");
    assert_eq!(menu.calls(), 2);
    menu.gate.open();
    assert!(!three.is_woken());
    assert_eq!(taste(two.poll().unwrap().unwrap()).1, "1");
    assert_eq!(taste(three.poll().unwrap().unwrap()).1, "1");
    assert_eq!((layer.counts().aborted, layer.counts().under_way), (1, 0));
}

#[test]
fn when_the_leaders_call_panics_another_leads() {
    let (layer, menu) = (layer(), Menu::new(|nth| if nth == 0 { panic!("asked for") } else { soup(nth) }));
    let mut service = serve!(layer, menu);
    let mut leader = Hand::queued(call(&mut service, get("/soup")));
    let mut joined = Hand::queued(call(&mut service, get("/soup")));
    menu.gate.open();
    assert_eq!(panic_of(|| leader.poll().is_some()), "asked for");
    assert!(joined.is_woken());
    menu.gate.open();
    assert_eq!(taste(joined.poll().unwrap().unwrap()).1, "1");
}

#[test]
fn a_service_that_panics_when_it_is_called_leaves_no_flight() {
    let layer = layer();
    let inner = service_fn(|_: Request<Body>| -> std::future::Ready<Result<Response<Body>, Infallible>> {
        panic!("asked for")
    });
    let mut service = around(&layer, inner);
    let mut leader = Hand::new(call(&mut service, get("/soup")));
    assert!(catch_unwind(AssertUnwindSafe(|| leader.poll().is_some())).is_err());
    assert_eq!(layer.counts().under_way, 0);
}

#[test]
fn when_the_leaders_call_fails_one_of_the_others_calls() {
    const GUESTS: usize = 100;
    let (layer, menu) = (layer(), Menu::new(|nth| if nth < 2 { Err("sold out") } else { soup(nth) }));
    let mut service = serve!(layer, menu);
    let mut asked: Vec<_> = (0..GUESTS).map(|_| Hand::queued(call(&mut service, get("/soup")))).collect();
    for calls in 1..=2 {
        menu.gate.open();
        assert_eq!(asked.remove(0).poll().unwrap().err(), Some("sold out"));
        assert!(asked.iter_mut().all(|guest| guest.poll().is_none()));
        assert_eq!(menu.calls(), calls + 1, "one at a time");
    }
    menu.gate.open();
    for guest in &mut asked {
        assert_eq!(taste(guest.poll().unwrap().unwrap()).1, "2");
    }
    let counts = layer.counts();
    assert_eq!((menu.calls(), counts.flights, counts.aborted, counts.under_way), (3, 3, 2, 0));
}

#[test]
fn an_answer_that_can_not_be_shared_is_whole_and_each_calls_by_itself() {
    /// Breaks off after some of it.
    fn broken(nth: usize) -> Result<Response<Body>, &'static str> {
        let frames: Frames =
            [Ok(Frame::data(Bytes::from_static(b"so"))), Err(io::Error::other("spilt"))].into();
        Ok(soup(nth)?.map(|_| Body::new(StreamBody::new(stream::iter(frames)))))
    }
    fn with_cookie(nth: usize) -> Result<Response<Body>, &'static str> {
        let mut answer = soup(nth)?;
        answer.headers_mut().insert(header::SET_COOKIE, "session=ada".parse().unwrap());
        Ok(answer)
    }
    fn long(nth: usize) -> Result<Response<Body>, &'static str> {
        Ok(soup(nth)?.map(|_| Body::from("soups")))
    }
    let whole = || Ok(("soup".into(), true));
    let cases = [
        (with_cookie as Cook, 4, whole()),
        (soup, 3, whole()),
        (soup, 0, whole()),
        (long, 4, Ok(("soups".into(), false))),
        (broken, 4, Err("spilt".into())),
    ];
    for (nth, (answer, max_body, expected)) in cases.into_iter().enumerate() {
        let (layer, menu) = (layer().max_body(max_body), Menu::new(answer));
        let mut service = serve!(layer, menu);
        let mut one = Hand::queued(call(&mut service, get("/soup")));
        let mut two = Hand::queued(call(&mut service, get("/soup")));
        menu.gate.open();
        menu.gate.open();
        let (one, two) = (one.poll().unwrap().unwrap(), two.poll().unwrap().unwrap());
        assert_eq!(taste(one), (202, "0".into(), expected.clone()), "{nth}");
        assert_eq!(taste(two), (202, "1".into(), expected), "{nth}");
    }
    // As long as may be.
    let (layer, menu) = (layer().max_body(4), Menu::new(soup));
    let mut service = serve!(layer, menu);
    let _both =
        [Hand::queued(call(&mut service, get("/soup"))), Hand::queued(call(&mut service, get("/soup")))];
    assert_eq!(menu.calls(), 1);
}

#[test]
fn bodies_say_how_long_they_are() {
    let (layer, menu) = (layer().max_body(3), Menu::new(|_| Ok(Response::new(Body::from("soup")))));
    let mut service = serve!(layer, menu);
    menu.gate.open();
    let passed = Hand::new(call(&mut service, get("/soup"))).poll().unwrap().unwrap().into_body();
    assert_eq!((passed.size_hint().exact(), passed.is_end_stream()), (Some(4), false));

    let (layer, menu) = (self::layer(), Menu::new(soup));
    let mut service = serve!(layer, menu);
    menu.gate.open();
    let mut shared = Hand::new(call(&mut service, get("/soup"))).poll().unwrap().unwrap().into_body();
    assert_eq!((shared.size_hint().exact(), shared.is_end_stream()), (Some(4), false));
    let mut task = Context::from_waker(Waker::noop());
    for left in [2, 0, 0] {
        assert!(matches!(std::pin::Pin::new(&mut shared).poll_frame(&mut task), Poll::Ready(Some(Ok(_)))));
        assert_eq!(shared.size_hint().exact(), Some(left));
    }
    assert!(shared.is_end_stream());
    assert!(matches!(std::pin::Pin::new(&mut shared).poll_frame(&mut task), Poll::Ready(None)));

    // Read too far, and not to its end: the rest comes from the service.
    let (layer, menu) = (self::layer().max_body(1), Menu::new(soup));
    let mut service = serve!(layer, menu);
    menu.gate.open();
    let rest = Hand::new(call(&mut service, get("/soup"))).poll().unwrap().unwrap().into_body();
    assert_eq!((rest.size_hint().lower(), rest.size_hint().upper(), rest.is_end_stream()), (2, None, false));
}

#[test]
fn the_service_that_was_ready_is_called() {
    let fussy = Fussy::new();
    let mut service = layer().layer(fussy.clone());
    for request in [get("/soup"), post("/soup"), get("/soup"), get("/")] {
        assert!(Hand::new(call(&mut service, request)).poll().is_some());
    }
    let mut unpolled = Vec::new();
    for _ in 0..3 {
        assert!(service.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
        unpolled.push(Hand::new(service.call(get("/soup"))));
    }
    assert!(unpolled.iter_mut().all(|call| call.poll().is_some()));
    assert_eq!(fussy.calls.load(Ordering::SeqCst), 7);
}

#[test]
fn answers_carry_their_extensions() {
    let seen = Arc::new(Mutex::new(0));
    let answer = |_: usize| {
        let mut answer = Response::new(Body::empty());
        answer.extensions_mut().insert(7_u32);
        Ok(answer)
    };
    let menu = Menu::new(answer);
    let mut service = serve!(layer(), menu);
    let mut both =
        [Hand::queued(call(&mut service, get("/soup"))), Hand::queued(call(&mut service, get("/soup")))];
    menu.gate.open();
    for guest in &mut both {
        *seen.lock().unwrap() += *guest.poll().unwrap().unwrap().extensions().get::<u32>().unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), 14);
}

#[tokio::test]
async fn whoever_is_dropped_whenever_leaves_no_flight_and_the_others_are_served() {
    let layer = layer();
    let inner = service_fn(async |_: Request<Body>| {
        stop().await;
        stop().await;
        Ok::<_, Infallible>(Response::new(slow_soup(())))
    });
    let mut service = around(&layer, inner);
    for polls in drops::polls(7) {
        for drops_late in [false, true] {
            let calls = [(); 3].map(|()| {
                let call = call(&mut service, get("/soup"));
                async move {
                    let Ok(answer) = call.await;
                    answer.into_body().collect().await.unwrap().to_bytes()
                }
            });
            drops::serve(calls, polls, drops_late, async || false).await;
            assert_eq!(layer.counts().under_way, 0, "{polls:?}, {drops_late}");
        }
    }
    assert!(layer.counts().aborted > 0 && layer.counts().joined > 0);
}
