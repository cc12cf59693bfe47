//! Headers that are hostile, or wrong.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Request, Response, header};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::menu::{Fate, Menu, fate, layer, soup};
use crate::layer::service::{call, get};
use crate::support::Hand;

/// Words that mean something, and what stands between them.
const PARTS: &[&str] = &[
    "\"",
    "\\",
    ",",
    "=",
    ";",
    " ",
    "\t",
    "0",
    "1",
    "99999999999999999999",
    "private",
    "no-store",
    "no-cache",
    "max-age",
    "s-maxage",
    "public",
    "must-understand",
    "*",
    "accept",
    "x",
    "Zoë",
    "-",
    "GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "text/event-stream",
    "application/grpc",
];

const NAMES: [HeaderName; 8] = [
    header::CACHE_CONTROL,
    header::PRAGMA,
    header::EXPIRES,
    header::DATE,
    header::AGE,
    header::VARY,
    header::CONTENT_TYPE,
    HeaderName::from_static("x-accel-buffering"),
];

/// Bytes that a header may have, most of them with a meaning.
fn value() -> impl Strategy<Value = HeaderValue> {
    let part = prop_oneof![
        select(PARTS).prop_map(|part| part.as_bytes().to_vec()),
        vec(any::<u8>().prop_filter("it may stand in a header", |byte| *byte > 31 && *byte != 127), 0..4),
    ];
    vec(part, 0..8).prop_map(|parts| HeaderValue::from_bytes(&parts.concat()).unwrap())
}

fn headers() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    vec((select(NAMES.to_vec()), value()), 0..6)
}

/// A directive in upper and lower case, as a line of its own.
fn refusal(directives: &'static [&'static str]) -> impl Strategy<Value = HeaderValue> {
    let spelt =
        (select(directives), vec(any::<bool>(), 16), select(&["", " ", ",", "public, ", "x=\"y\", "][..]));
    spelt.prop_map(|(directive, upper, before)| {
        let letters = directive.bytes().zip(upper);
        let letters = letters.map(|(byte, upper)| if upper { byte.to_ascii_uppercase() } else { byte });
        HeaderValue::from_bytes(&before.bytes().chain(letters).collect::<Vec<_>>()).unwrap()
    })
}

fn answered_with(headers: Vec<(HeaderName, HeaderValue)>, status: u16) -> Menu {
    Menu::new(move |_| {
        let mut answer = Response::builder().status(status).body(Body::from("soup")).unwrap();
        for (name, value) in &headers {
            answer.headers_mut().append(name, value.clone());
        }
        Ok(answer)
    })
}

proptest! {
    #[test]
    fn any_headers_of_an_answer_are_read_without_a_panic(headers in headers(), status in 100..600_u16) {
        for failures in [false, true] {
            let layer = layer().share_credentials(true).share_failures(failures);
            fate(&layer, &answered_with(headers.clone(), status), || get("/soup"));
        }
    }

    #[test]
    fn what_refuses_to_be_shared_is_not_whatever_stands_beside_it(
        mut headers in headers(),
        at in any::<prop::sample::Index>(),
        refusal in refusal(&["private", "no-store", "no-cache", "max-age=0", "private=x", "s-maxage=\"0\""]),
        status in 200..500_u16,
    ) {
        headers.insert(at.index(headers.len() + 1), (header::CACHE_CONTROL, refusal));
        prop_assert_ne!(fate(&layer(), &answered_with(headers, status), || get("/soup")), Fate::Shared);
    }

    #[test]
    fn a_request_for_a_new_answer_has_one_whatever_stands_beside_it(
        mut headers in headers(),
        at in any::<prop::sample::Index>(),
        refusal in refusal(&["no-store", "no-cache", "max-age=0", "max-age=\"0\""]),
    ) {
        headers.insert(at.index(headers.len() + 1), (header::CACHE_CONTROL, refusal));
        let (layer, menu) = (layer(), Menu::new(soup));
        let mut service = menu.behind(&layer);
        let request = || {
            let mut request = Request::get("/soup").body(Body::empty()).unwrap();
            for (name, value) in &headers {
                request.headers_mut().append(name, value.clone());
            }
            request
        };
        let _both = [(); 2].map(|()| Hand::queued(call(&mut service, request())));
        prop_assert_eq!((menu.calls(), layer.counts().flights), (2, 0));
    }

    #[test]
    fn any_headers_of_a_request_are_read_without_a_panic(headers in headers()) {
        let menu = Menu::new(soup);
        let mut service = menu.behind(&layer());
        let mut request = Request::get("/soup").body(Body::empty()).unwrap();
        for (name, value) in headers {
            request.headers_mut().append(name, value);
        }
        drop(Hand::queued(call(&mut service, request)));
        prop_assert_eq!(menu.calls(), 1);
    }
}
