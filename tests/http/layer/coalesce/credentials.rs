//! Requests with credentials.

use axum::body::Body;
use axum::http::{HeaderName, Request, Response, header};

use super::menu::{Fate, Menu, Pages, fate, layer, soup};
use crate::layer::service::{call, get};
use crate::support::Hand;

const NAMES: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// A request with these values of a header, each in a line of its own.
fn with(name: &HeaderName, values: &[&str]) -> Request<Body> {
    let request = values.iter().fold(Request::get("/soup"), |request, value| request.header(name, *value));
    request.body(Body::empty()).unwrap()
}

/// How many calls of the service such requests make.
fn calls(layer: &Pages, requests: Vec<Request<Body>>) -> usize {
    let menu = Menu::new(soup);
    let mut service = menu.behind(layer);
    let _asked: Vec<_> =
        requests.into_iter().map(|request| Hand::queued(call(&mut service, request))).collect();
    menu.calls()
}

#[test]
fn only_requests_with_equal_credentials_share() {
    let layer = || layer().share_credentials(true);
    for name in NAMES {
        let ada = || with(&name, &["ada"]);
        assert_eq!(calls(&layer(), vec![ada(), ada(), ada()]), 1);
        assert_eq!(
            calls(&layer(), vec![ada(), with(&name, &["nonsense"]), get("/soup"), ada()]),
            3,
            "{name}"
        );
        // All lines of them.
        let two = || with(&name, &["ada", "grace"]);
        assert_eq!(calls(&layer(), vec![ada(), two(), with(&name, &["ada", "alan"]), two()]), 3, "{name}");
    }
    // The same value in another header is another identity.
    assert_eq!(calls(&layer(), NAMES.iter().map(|name| with(name, &["ada"])).collect()), 3);
}

#[test]
fn requests_with_different_credentials_share_only_if_the_layer_is_told_so() {
    let all = || {
        let named = NAMES.iter().map(|name| with(name, &["ada"]));
        named.chain([with(&header::COOKIE, &["session=grace"]), get("/soup")]).collect::<Vec<_>>()
    };
    assert_eq!(calls(&layer().share_across_credentials(true), all()), 1);
    assert_eq!(calls(&layer().share_credentials(true).share_across_credentials(true), all()), 1);
    // The last setter counts.
    assert_eq!(calls(&layer().share_credentials(true).share_across_credentials(false), all()), 5);
    assert_eq!(calls(&layer().share_across_credentials(true).share_credentials(true), all()), 5);
    let ada = || vec![with(&NAMES[0], &["ada"]), with(&NAMES[0], &["ada"])];
    assert_eq!(calls(&layer().share_across_credentials(true).share_credentials(true), ada()), 1);
    assert_eq!(calls(&layer().share_across_credentials(true).share_credentials(false), ada()), 2);
    assert_eq!(calls(&layer(), all()), 5);
}

#[test]
fn clones_of_a_layer_with_other_rules_for_credentials_do_not_join_each_other() {
    let first = layer();
    let equal = first.clone().share_credentials(true);
    let any = first.clone().share_across_credentials(true);
    let menu = Menu::new(soup);
    let mut asked = Vec::new();
    for layer in [&first, &equal, &any] {
        let mut service = menu.behind(layer);
        asked.extend([(); 2].map(|()| Hand::queued(call(&mut service, get("/soup")))));
    }
    assert_eq!((menu.calls(), first.counts().joined), (3, 3));
}

#[test]
fn a_private_answer_is_shared_only_among_equal_credentials() {
    fn of(layer: &Pages, said: &'static str, request: impl Fn() -> Request<Body>) -> Fate {
        let answer =
            move |_| Ok(Response::builder().header(header::CACHE_CONTROL, said).body(Body::empty()).unwrap());
        fate(layer, &Menu::new(answer), request)
    }
    let ada = || with(&header::COOKIE, &["session=ada"]);
    for private in ["private", "max-age=3, Private=\"x-user\"", "private, max-age=3"] {
        assert_eq!(of(&layer(), private, || get("/soup")), Fate::Alone);
        assert_eq!(of(&layer().share_credentials(true), private, || get("/soup")), Fate::Alone);
        assert_eq!(of(&layer().share_credentials(true), private, ada), Fate::Shared);
        assert_eq!(of(&layer().share_across_credentials(true), private, ada), Fate::Shared);
        assert_eq!(of(&layer().share_across_credentials(true), private, || get("/soup")), Fate::Shared);
    }
    assert_eq!(of(&layer().share_credentials(true), "private, no-store", ada), Fate::Alone);
    assert_eq!(of(&layer().share_credentials(true), "private, max-age=0", ada), Fate::Alone);
}

#[test]
fn an_answer_that_varies_by_credentials_is_shared_only_where_they_are_compared() {
    let vary = |_| Ok(Response::builder().header(header::VARY, "Cookie").body(Body::empty()).unwrap());
    let ada = || with(&header::COOKIE, &["session=ada"]);
    assert_eq!(fate(&layer().share_credentials(true), &Menu::new(vary), ada), Fate::Shared);
    assert_eq!(fate(&layer().share_across_credentials(true), &Menu::new(vary), ada), Fate::Alone);
}

#[test]
fn credentials_are_not_printed() {
    let layer = layer().share_credentials(true);
    let menu = Menu::new(soup);
    let mut service = menu.behind(&layer);
    let _asked = Hand::queued(call(&mut service, with(&header::COOKIE, &["session=ada"])));
    let printed = format!("{layer:?}");
    assert!(printed.contains("under_way: 1") && !printed.contains("ada"), "{printed}");
}
