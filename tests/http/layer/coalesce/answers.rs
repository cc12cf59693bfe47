//! Which answers are shared.

use axum::body::Body;
use axum::http::{HeaderName, Response, StatusCode, header};

use super::menu::{Fate, Menu, Pages, fate, layer};
use crate::layer::service::get;

/// What becomes of an answer with this status and these headers.
fn of(layer: &Pages, status: u16, headers: &[(HeaderName, &'static str)]) -> Fate {
    let headers = headers.to_vec();
    let menu = Menu::new(move |_| {
        let answer = Response::builder().status(status);
        let answer =
            headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value.as_bytes()));
        Ok(answer.body(Body::empty()).unwrap())
    });
    fate(layer, &menu, || get("/soup"))
}

#[test]
fn only_answers_that_a_shared_cache_may_reuse_are_shared() {
    let by_themselves = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];
    let never = [206, 304, 401, 407, 428, 429, 431, 511];
    let fresh = [
        (header::CACHE_CONTROL, "public"),
        (header::CACHE_CONTROL, "max-age=1"),
        (header::CACHE_CONTROL, "s-maxage=1"),
        (header::EXPIRES, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ];
    for status in (200..600).filter(|status| StatusCode::from_u16(*status).is_ok()) {
        let is_failure = status >= 500 || status == 429;
        let alone = if is_failure { Fate::Failed } else { Fate::Alone };
        let expected = if by_themselves.contains(&status) { Fate::Shared } else { alone };
        assert_eq!(of(&layer(), status, &[]), expected, "{status}");
        let expected = if never.contains(&status) { alone } else { Fate::Shared };
        for (name, value) in &fresh {
            assert_eq!(of(&layer(), status, &[(name.clone(), value)]), expected, "{status}, {value}");
        }
        for stale in ["no-store", "no-cache", "max-age=0", "private"] {
            assert_eq!(of(&layer(), status, &[(header::CACHE_CONTROL, stale)]), alone, "{status}, {stale}");
        }
    }
    for interim in [100, 101, 103] {
        assert_eq!(of(&layer(), interim, &[(header::CACHE_CONTROL, "public")]), Fate::Alone, "{interim}");
    }
}

#[test]
fn an_answer_that_says_that_it_is_not_for_all_is_not_shared() {
    let cases = [
        (header::CACHE_CONTROL, "private", false),
        (header::CACHE_CONTROL, "max-age=3, Private=\"x-user\"", false),
        (header::CACHE_CONTROL, "no-store", false),
        (header::CACHE_CONTROL, "private, of=\"Zoë\"", false),
        (header::CACHE_CONTROL, "public, max-age=3", true),
        (header::CACHE_CONTROL, "public, must-revalidate, of=\"Zoë\"", true),
        (header::CACHE_CONTROL, "NO-CACHE=\"set-cookie\"", false),
        (header::CACHE_CONTROL, "s-maxage=0, max-age=3", false),
        (header::CACHE_CONTROL, "s-maxage=3, max-age=0", true),
        (header::CACHE_CONTROL, "max-age=3, max-age=0", false),
        (header::CACHE_CONTROL, "max-age=\"3\"", true),
        (header::CACHE_CONTROL, "max-age=99999999999999999999999", true),
        (header::CACHE_CONTROL, "must-understand", true),
        // Words in quotes are no directives.
        (header::CACHE_CONTROL, "x=\"private, no-store\"", true),
        (header::CACHE_CONTROL, "x=\"\\\", no-store\", private", false),
        (header::CACHE_CONTROL, "not-private, no-storey", true),
        // What can't be read may be anything.
        (header::CACHE_CONTROL, "max-age", false),
        (header::CACHE_CONTROL, "max-age=", false),
        (header::CACHE_CONTROL, "max-age=-1", false),
        (header::CACHE_CONTROL, "max-age=1.5", false),
        (header::CACHE_CONTROL, "max-age = 3", false),
        (header::CACHE_CONTROL, "public max-age=3", false),
        (header::CACHE_CONTROL, "x=\"public", false),
        (header::CACHE_CONTROL, "x=\"public\\", false),
        (header::CACHE_CONTROL, "Zoë", false),
        (header::CACHE_CONTROL, ", ,", true),
        (header::PRAGMA, "no-cache", false),
        (header::EXPIRES, "Thu, 01 Jan 1970 00:00:00 GMT", false),
        (header::EXPIRES, "0", false),
        (header::EXPIRES, "Fri, 31 Dec 9999 23:59:59 GMT", true),
        (header::AGE, "60", true),
        (header::VARY, "*", false),
        (header::VARY, "Accept, X-Tenant", false),
        (header::VARY, "User-Agent", false),
        (header::VARY, "Zoë", false),
        (header::VARY, "", true),
        // What requests that share an answer have in common.
        (header::VARY, "Accept , accept-encoding,Origin, Cookie, Access-Control-Request-Method", true),
        (header::SET_COOKIE, "session=ada", false),
        // It would not come to its end.
        (header::CONTENT_TYPE, "Text/Event-Stream; charset=utf-8", false),
        (header::CONTENT_TYPE, "text/plain", true),
    ];
    for (name, value, expected) in cases {
        let expected = if expected { Fate::Shared } else { Fate::Alone };
        assert_eq!(of(&layer(), 200, &[(name, value)]), expected, "{value}");
    }
}

#[test]
fn an_answer_that_is_too_old_is_not_shared() {
    let (date, later) = ("Thu, 26 Nov 2026 07:00:00 GMT", "Thu, 26 Nov 2026 07:01:00 GMT");
    let cases: [(&[(HeaderName, &str)], bool); 10] = [
        (&[(header::CACHE_CONTROL, "max-age=60"), (header::AGE, "59")], true),
        (&[(header::CACHE_CONTROL, "max-age=60"), (header::AGE, "60")], false),
        (&[(header::CACHE_CONTROL, "max-age=60"), (header::AGE, "soon")], false),
        (&[(header::CACHE_CONTROL, "max-age=60"), (header::AGE, "1"), (header::AGE, "1")], false),
        (&[(header::EXPIRES, later), (header::DATE, date)], true),
        (&[(header::EXPIRES, date), (header::DATE, later)], false),
        (&[(header::EXPIRES, later), (header::DATE, date), (header::AGE, "60")], false),
        (&[(header::EXPIRES, later), (header::DATE, "today")], false),
        // The directive goes before the date.
        (&[(header::EXPIRES, "0"), (header::CACHE_CONTROL, "max-age=60")], true),
        (&[(header::EXPIRES, later), (header::EXPIRES, later), (header::DATE, date)], false),
    ];
    for (headers, expected) in cases {
        let expected = if expected { Fate::Shared } else { Fate::Alone };
        assert_eq!(of(&layer(), 200, headers), expected, "{headers:?}");
    }
}

#[test]
fn a_status_that_must_be_understood_is_not_shared_if_it_is_not() {
    for (status, expected) in [(200, Fate::Shared), (299, Fate::Alone), (302, Fate::Alone)] {
        let said = [(header::CACHE_CONTROL, "must-understand, max-age=3")];
        assert_eq!(of(&layer(), status, &said), expected, "{status}");
    }
}

#[test]
fn all_lines_of_a_header_count() {
    let said = [(header::CACHE_CONTROL, "public"), (header::CACHE_CONTROL, "max-age=3, no-store")];
    assert_eq!(of(&layer(), 200, &said), Fate::Alone);
    assert_eq!(of(&layer(), 200, &[(header::VARY, "accept"), (header::VARY, "x-tenant")]), Fate::Alone);
}
