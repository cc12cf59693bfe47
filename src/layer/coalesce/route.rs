//! [`Route`]: where routers have sent a request.

use http::request;

/// The place of a service among the routes of an application. Requests that share an answer have the same.
///
/// A layer can't number the services that it makes: axum calls `Layer::layer` anew for each connection, and these
/// services answer the same. So the route is read from the request.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Route(Option<Box<str>>);

impl Route {
    /// Reads what routers of axum have noted: the path of the route, with the paths of the routers around it. Nested
    /// services and fallbacks have none, so for them the path of the request counts, as the outermost router got it.
    #[cfg(feature = "axum")]
    pub(super) fn of(head: &request::Parts) -> Self {
        use axum::extract::{MatchedPath, OriginalUri};

        let matched = head.extensions.get().map(MatchedPath::as_str);
        let original = || head.extensions.get().map(|OriginalUri(uri)| uri.path());
        Self(matched.or_else(original).map(Into::into))
    }

    #[cfg(not(feature = "axum"))]
    pub(super) fn of(_: &request::Parts) -> Self {
        Self(None)
    }
}
