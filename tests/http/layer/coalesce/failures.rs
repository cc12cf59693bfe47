//! Calls that fail, and answers that are for one request.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, Response, StatusCode, header};
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;

use super::menu::{Cook, Cooked, Fate, Menu, answer, data, fate, frames, layer, soup, taste, trailers};
use crate::layer::service::{call, get};
use crate::support::Hand;

#[test]
fn when_the_leaders_call_fails_one_of_the_others_calls() {
    const GUESTS: usize = 100;
    fn busy(nth: usize) -> Cooked {
        answer(nth, StatusCode::SERVICE_UNAVAILABLE, Body::from("busy"))
    }
    let failures: [Cook; 3] =
        [|_| Err("sold out"), busy, |nth| answer(nth, StatusCode::TOO_MANY_REQUESTS, Body::empty())];
    for fails in failures {
        let (layer, menu) = (layer(), Menu::new(move |nth| if nth < 2 { fails(nth) } else { soup(nth) }));
        let mut service = menu.behind(&layer);
        let mut asked: Vec<_> = (0..GUESTS).map(|_| Hand::queued(call(&mut service, get("/soup")))).collect();
        for calls in 1..=2 {
            menu.gate.open();
            let failed = asked.remove(0).poll().unwrap();
            match (failed, fails(calls - 1)) {
                (Err(error), Err(expected)) => assert_eq!(error, expected),
                (Ok(answer), Ok(expected)) => assert_eq!(answer.status(), expected.status()),
                _ => panic!("the leader gets what the service says"),
            }
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
}

#[test]
fn failures_go_to_all_if_the_layer_is_told_so() {
    fn of(status: u16, headers: &[(HeaderName, &'static str)]) -> Fate {
        let headers = headers.to_vec();
        let menu = Menu::new(move |_| {
            let answer = Response::builder().status(status);
            let answer = headers.iter().fold(answer, |answer, (name, value)| answer.header(name, *value));
            Ok(answer.body(Body::empty()).unwrap())
        });
        fate(&layer().share_failures(true), &menu, || get("/soup"))
    }
    for status in [500, 502, 503, 504, 599] {
        assert_eq!(of(status, &[]), Fate::Shared, "{status}");
        // As most of them are marked.
        assert_eq!(of(status, &[(header::CACHE_CONTROL, "no-cache, no-store, max-age=0")]), Fate::Shared);
        for for_one in [
            (header::CACHE_CONTROL, "private"),
            (header::CACHE_CONTROL, "\""),
            (header::SET_COOKIE, "session=ada"),
            (header::VARY, "x-tenant"),
        ] {
            assert_eq!(of(status, &[for_one]), Fate::Failed, "{status}");
        }
    }
    assert_eq!([429, 511].map(|status| of(status, &[])), [Fate::Failed; 2]);
    assert_eq!([401, 403, 302].map(|status| of(status, &[])), [Fate::Alone; 3]);
    let menu = Menu::new(|_| Err("sold out"));
    assert_eq!(fate(&layer().share_failures(true), &menu, || get("/soup")), Fate::Failed);
}

#[test]
fn an_answer_that_breaks_off_is_a_failure() {
    for layer in [layer(), layer().share_failures(true)] {
        let breaks = |nth| answer(nth, StatusCode::OK, frames([data("so"), Err(io::Error::other("spilt"))]));
        assert_eq!(fate(&layer, &Menu::new(breaks), || get("/soup")), Fate::Failed);
    }
}

#[test]
fn a_failure_that_is_too_long_to_be_shared_calls_one_after_the_other() {
    const LONG: &str = "the service is down, and so on";
    // It says that it is long, or it does not.
    let bodies: [fn() -> Body; 2] = [|| Body::from(LONG), || frames([data(LONG)])];
    for body in bodies {
        for status in [StatusCode::BAD_GATEWAY, StatusCode::TOO_MANY_REQUESTS, StatusCode::NOT_IMPLEMENTED] {
            for layer in [layer(), layer().share_failures(true)] {
                let menu = Menu::new(move |nth| answer(nth, status, body()));
                assert_eq!(fate(&layer.max_body(10), &menu, || get("/soup")), Fate::Failed, "{status}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_too_slow_to_be_shared_calls_one_after_the_other() {
    let layer = layer().share_failures(true).read_timeout(Duration::from_secs(1));
    let body = || Body::new(StreamBody::new(stream::pending::<io::Result<Frame<Bytes>>>()));
    let menu = Menu::open(move |nth| answer(nth, StatusCode::BAD_GATEWAY, body()));
    let mut service = menu.behind(&layer);
    // The body of one is kept: it is still being read when the others call.
    let mut calls: Vec<_> = (0..3).map(|_| Hand::queued(call(&mut service, get("/soup")))).collect();
    for nth in 1..=3 {
        assert_eq!(menu.calls(), nth, "one at a time");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let answer = calls.remove(0).poll().unwrap().unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
        for guest in &mut calls {
            assert!(guest.poll().is_none());
        }
    }
}

#[test]
fn an_answer_that_can_not_be_shared_is_whole_and_each_calls_by_itself() {
    /// Breaks off after some of it.
    fn broken(nth: usize) -> Cooked {
        Ok(soup(nth)?.map(|_| frames([data("so"), data("u"), Err(io::Error::other("spilt"))])))
    }
    fn with_cookie(nth: usize) -> Cooked {
        let mut answer = soup(nth)?;
        answer.headers_mut().insert(header::SET_COOKIE, "session=ada".parse().unwrap());
        Ok(answer)
    }
    fn long(nth: usize) -> Cooked {
        Ok(soup(nth)?.map(|_| Body::from("soups")))
    }
    fn in_pieces(nth: usize) -> Cooked {
        Ok(soup(nth)?.map(|_| frames([data("s"), data(""), data("o"), data("up"), trailers()])))
    }
    let whole = || Ok(("soup".into(), true));
    let cases = [
        (with_cookie as Cook, 100, whole()),
        (soup, 42, whole()),
        (soup, 4, whole()),
        (soup, 3, whole()),
        (soup, 0, whole()),
        (in_pieces, 2, whole()),
        (in_pieces, 4, whole()),
        (long, 4, Ok(("soups".into(), false))),
        (broken, 4, Err("spilt".into())),
    ];
    for (nth, (answer, max_body, expected)) in cases.into_iter().enumerate() {
        let (layer, menu) = (layer().max_body(max_body), Menu::new(answer));
        let mut service = menu.behind(&layer);
        let mut one = Hand::queued(call(&mut service, get("/soup")));
        let mut two = Hand::queued(call(&mut service, get("/soup")));
        menu.gate.open();
        menu.gate.open();
        let (one, two) = (one.poll().unwrap().unwrap(), two.poll().unwrap().unwrap());
        assert_eq!(taste(one), (203, "0".into(), expected.clone()), "{nth}");
        assert_eq!(taste(two), (203, "1".into(), expected), "{nth}");
    }
    // As long as may be: four bytes, and trailers of 4 + 3 + 32.
    for cook in [soup, in_pieces] {
        let (layer, menu) = (layer().max_body(43), Menu::new(cook));
        assert_eq!(fate(&layer, &menu, || get("/soup")), Fate::Shared);
    }
}
