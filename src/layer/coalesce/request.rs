//! [`Common`]: which requests are equal.

use std::any::TypeId;

use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, header, request};

use super::cache_control::{CacheControl, Unreadable};
use super::route::Route;

/// The headers whose values are part of the key, since answers depend on them.
const VARIES: [HeaderName; 5] =
    [header::ACCEPT, header::ACCEPT_ENCODING, header::ACCEPT_LANGUAGE, header::HOST, header::ORIGIN];

/// A request with one of these headers gets an answer that is valid for this request alone.
const ALONE: [HeaderName; 9] = [
    header::ACCESS_CONTROL_REQUEST_HEADERS,
    header::ACCESS_CONTROL_REQUEST_METHOD,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::UPGRADE,
];

const CREDENTIALS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// Which requests with credentials share an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Credentials {
    /// None.
    Alone,
    /// Those with equal credentials.
    Equal,
    /// All of them, since the key names the user.
    Any,
}

impl Credentials {
    /// Returns the headers that are equal in all requests that share. None of these requests has a header in `ALONE`.
    pub(super) fn compared(self) -> impl Iterator<Item = &'static HeaderName> {
        let credentials: &[HeaderName] = if self == Self::Any { &[] } else { &CREDENTIALS };
        VARIES.iter().chain(&ALONE).chain(credentials)
    }
}

/// What requests that share an answer have in common, beside their key. It holds credentials, so it has no `Debug`.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Common {
    /// The type of the service that answers. Clones of one layer may be around several.
    service: TypeId,
    /// All services of axum's routers have the same type.
    route: Route,
    /// If it is in the request's target, as in HTTP/2.
    host: Option<Authority>,
    /// The values of `VARIES`, in that order.
    varies: [Option<HeaderValue>; 5],
    /// Clones of one layer share their flights, and may have different policies.
    policy: Credentials,
    /// All values of each of `CREDENTIALS`, if they are compared.
    credentials: [Vec<HeaderValue>; 3],
}

impl Common {
    /// Returns what a request to a `T` has in common with others, or `None` if it does not share.
    pub(super) fn of<T: 'static>(head: &request::Parts, policy: Credentials) -> Option<Self> {
        let headers = &head.headers;
        let has = |names: &[HeaderName]| names.iter().any(|name| headers.contains_key(name));
        let is_single = |name: &HeaderName| headers.get_all(name).iter().nth(1).is_none();
        let is_alone = head.method != Method::GET
            || has(&ALONE)
            || (policy == Credentials::Alone && has(&CREDENTIALS))
            || !VARIES.iter().all(is_single)
            || wants_a_new_answer(head);
        if is_alone {
            return None;
        }
        let compares = policy == Credentials::Equal;
        let all_of = |name: HeaderName| {
            if compares { headers.get_all(name).iter().cloned().collect() } else { Vec::new() }
        };
        Some(Self {
            service: TypeId::of::<T>(),
            route: Route::of(head),
            host: head.uri.authority().cloned(),
            varies: VARIES.map(|name| headers.get(name).cloned()),
            policy,
            credentials: CREDENTIALS.map(all_of),
        })
    }

    pub(super) fn policy(&self) -> Credentials {
        self.policy
    }

    /// Returns `true` if all requests that share belong to one user.
    pub(super) fn is_of_one_user(&self) -> bool {
        self.policy == Credentials::Any || self.credentials.iter().any(|values| !values.is_empty())
    }
}

/// An answer that was begun earlier is no answer to such a request (RFC 9111, section 5.2.1).
fn wants_a_new_answer(head: &request::Parts) -> bool {
    match CacheControl::read(&head.headers) {
        Ok(asked) => asked.no_cache || asked.no_store || asked.max_age == Some(0),
        Err(Unreadable) => true,
    }
}
