//! [`RequestKey`]: which key a request is about.

use ::axum::http::request::Parts;
use ::axum::http::{HeaderName, StatusCode};

use crate::web::Problem;

/// Says which key a request is about.
///
/// Implemented for functions of the request's head, which return `None` for requests that are about no key, and by
/// [`path_param`](crate::extract::path_param), [`header`] and [`extension`].
///
/// # Examples
///
/// ```
/// use axum::http::request::Parts;
/// use latchwork::layer::RequestKey;
///
/// fn tenant(parts: &Parts) -> Option<String> {
///     Some(parts.uri.host()?.split('.').next()?.to_owned())
/// }
/// # fn takes(_: impl RequestKey<String>) {}
/// takes(tenant);
/// takes(|parts: &Parts| parts.uri.host().map(str::to_owned));
/// takes(latchwork::layer::header("x-tenant"));
/// ```
pub trait RequestKey<K> {
    /// The key, or `None` for a request that is to go through without a lock.
    ///
    /// # Errors
    ///
    /// The answer to a request whose key can't be told. No lock is taken, and the service is not called.
    fn key(&self, parts: &mut Parts) -> Result<Option<K>, Problem>;
}

impl<K, F: Fn(&Parts) -> Option<K>> RequestKey<K> for F {
    #[inline]
    fn key(&self, parts: &mut Parts) -> Result<Option<K>, Problem> {
        Ok(self(parts))
    }
}

/// The value of the header of this name, as text. A request without it, with several, or with one that is no visible
/// ASCII is refused with 400.
///
/// # Panics
///
/// If the name is not that of a header in small letters.
///
/// # Examples
///
/// ```
/// use axum::http::Request;
/// use latchwork::layer::{RequestKey, header};
///
/// let (mut parts, ()) = Request::get("/").header("x-tenant", "acme").body(()).expect("it is one").into_parts();
/// let key: Option<String> = header("x-tenant").key(&mut parts).expect("it is there");
/// assert_eq!(key.as_deref(), Some("acme"));
/// ```
#[must_use]
pub fn header(name: &'static str) -> Header {
    Header(HeaderName::from_static(name))
}

/// Made by [`header`].
#[derive(Clone, Debug)]
pub struct Header(HeaderName);

impl<K: From<String>> RequestKey<K> for Header {
    fn key(&self, parts: &mut Parts) -> Result<Option<K>, Problem> {
        let mut values = parts.headers.get_all(&self.0).iter();
        match (values.next().map(|value| value.to_str()), values.next()) {
            (Some(Ok(value)), None) => Ok(Some(value.to_owned().into())),
            (None, _) => Err(Problem::bad_key(format!("the header {} is missing", self.0))),
            (Some(_), Some(_)) => Err(Problem::bad_key(format!("there is more than one header {}", self.0))),
            (Some(Err(_)), None) => Err(Problem::bad_key(format!("the header {} is not text", self.0))),
        }
    }
}

/// What `key` makes of the request's extension of type `T`, which an earlier layer has put there: the user who was
/// authenticated, say. A request without it is refused with 500 rather than served without a lock.
///
/// # Examples
///
/// ```
/// use axum::http::Request;
/// use latchwork::layer::{RequestKey, extension};
///
/// #[derive(Clone)]
/// struct User { id: u64 }
///
/// let request = Request::get("/").extension(User { id: 7 }).body(()).expect("it is a request");
/// let key = extension(|user: &User| Some(user.id)).key(&mut request.into_parts().0);
/// assert_eq!(key.expect("it is there"), Some(7));
/// ```
pub fn extension<T, K, F>(key: F) -> Extension<F, T>
where
    T: Send + Sync + 'static,
    F: Fn(&T) -> Option<K>,
{
    Extension { key, of: std::marker::PhantomData }
}

/// Made by [`extension`].
#[derive(Debug)]
pub struct Extension<F, T> {
    key: F,
    of: std::marker::PhantomData<fn(&T)>,
}

impl<F: Clone, T> Clone for Extension<F, T> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), of: self.of }
    }
}

impl<K, F, T> RequestKey<K> for Extension<F, T>
where
    T: Send + Sync + 'static,
    F: Fn(&T) -> Option<K>,
{
    fn key(&self, parts: &mut Parts) -> Result<Option<K>, Problem> {
        match parts.extensions.get::<T>() {
            Some(extension) => Ok((self.key)(extension)),
            None => Err(misplaced("the request has no extension of this type")),
        }
    }
}

/// A mistake in how the service was put together: clients are told no more than that it is the service's, and the log
/// what it is.
pub(crate) fn misplaced(what: &'static str) -> Problem {
    #[cfg(feature = "tracing")]
    tracing::error!(what, "a request has no key");
    #[cfg(not(feature = "tracing"))]
    let _ = what;
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR)
}
