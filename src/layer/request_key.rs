//! [`RequestKey`]: the key of a request.

use std::any::type_name;
use std::marker::PhantomData;
use std::str::FromStr;

use http::request::Parts;
use http::{HeaderName, StatusCode};

use crate::web::Problem;

/// Finds the key of a request.
///
/// Functions of the request's head implement it: they return `None` for a request that has no key. So do the values of
/// [`header`], [`extension`] and, for axum, `path_param`.
///
/// A closure needs the type of its argument, or [`by`] around it.
///
/// # Examples
///
/// ```
/// use http::request::Parts;
/// use latchwork::layer::{RequestKey, by, header};
///
/// fn tenant(parts: &Parts) -> Option<String> {
///     Some(parts.uri.host()?.split('.').next()?.to_owned())
/// }
/// # fn takes(_: impl RequestKey<String>) {}
/// takes(tenant);
/// takes(by(|parts| parts.uri.host().map(str::to_owned)));
/// takes(header("x-tenant"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not find the key of a request",
    note = "write `by(|parts| …)`, or name the type of the argument: `|parts: &http::request::Parts| …`"
)]
pub trait RequestKey<K> {
    /// Returns the key, or `None` for a request that passes without a lock.
    ///
    /// # Errors
    ///
    /// The answer to a request whose key can't be found. The layer takes no lock then, and does not call the service.
    fn key(&self, parts: &mut Parts) -> Result<Option<K>, Problem>;
}

impl<K, F: Fn(&Parts) -> Option<K>> RequestKey<K> for F {
    #[inline]
    fn key(&self, parts: &mut Parts) -> Result<Option<K>, Problem> {
        Ok(self(parts))
    }
}

/// Returns the closure that it is given, whose argument is a request's head.
///
/// The compiler does not infer the argument's type from [`RequestKey`]. It does here.
///
/// # Examples
///
/// ```
/// use latchwork::{KeyedLock, layer::{KeyedLockLayer, by}};
/// use std::sync::Arc;
///
/// let hosts = Arc::new(KeyedLock::<String>::new());
/// let layer = KeyedLockLayer::new(hosts, by(|parts| parts.uri.host().map(str::to_owned)));
/// assert_eq!(layer.stats().requests(), 0);
/// ```
pub fn by<K, F: Fn(&Parts) -> Option<K>>(key: F) -> F {
    key
}

/// Uses the value of a header as the key: text, or any other type that can be parsed ([`FromStr`]).
///
/// The layer refuses a request with 400 if the header is missing or empty, occurs more than once, or is not visible ASCII.
/// The same is true of a value that can't be parsed. The answer does not repeat the value.
///
/// Use the type that the handler uses. As text, `7` and `07` are two keys.
///
/// # Panics
///
/// If `name` is not the name of a header in lower case.
///
/// # Examples
///
/// ```
/// use http::Request;
/// use latchwork::layer::{RequestKey, header};
///
/// let (mut parts, ()) = Request::get("/").header("x-tenant", "007").body(()).expect("it is one").into_parts();
/// let text: Option<String> = header("x-tenant").key(&mut parts)?;
/// let number: Option<u64> = header("x-tenant").key(&mut parts)?;
/// assert_eq!((text.as_deref(), number), (Some("007"), Some(7)));
/// # Ok::<(), latchwork::web::Problem>(())
/// ```
#[must_use]
pub fn header(name: &'static str) -> Header {
    Header(HeaderName::from_static(name))
}

/// The value of a header as a key: see [`header`].
#[derive(Clone, Debug)]
pub struct Header(HeaderName);

impl<K: FromStr> RequestKey<K> for Header {
    fn key(&self, parts: &mut Parts) -> Result<Option<K>, Problem> {
        let Self(name) = self;
        let mut values = parts.headers.get_all(name).iter();
        let why = match (values.next().map(|value| value.to_str()), values.next()) {
            // Otherwise all clients that leave the value out would share one key.
            (Some(Ok("")), None) => "is empty",
            (Some(Ok(value)), None) => match value.parse() {
                Ok(key) => return Ok(Some(key)),
                // The error's text may quote the value.
                Err(_) => "can't be read as a key",
            },
            (None, _) => "is missing",
            (Some(_), Some(_)) => "occurs more than once",
            (Some(Err(_)), None) => "is not visible ASCII",
        };
        Err(Problem::bad_key(format!("the header {name} {why}")))
    }
}

/// Uses what `key` returns for the request's extension of type `T`, such as the user that an earlier layer
/// authenticated.
///
/// The layer refuses a request without this extension with 500: it is not served without a lock.
///
/// # Examples
///
/// ```
/// use http::Request;
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
    Extension { key, of: PhantomData }
}

/// A function of an extension as a key: see [`extension`].
#[derive(Debug)]
pub struct Extension<F, T> {
    key: F,
    of: PhantomData<fn(&T)>,
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
            None => Err(misplaced(&format!("the request has no extension of the type {}", type_name::<T>()))),
        }
    }
}

/// A mistake in how the service was put together: the client gets a bare 500, and the cause goes to the log.
///
/// The program bounds the number of causes: they name no more than its types and its routes.
pub(crate) fn misplaced(cause: &str) -> Problem {
    #[cfg(feature = "tracing")]
    {
        use std::collections::BTreeMap;

        use crate::throttle::Throttle;

        // Any client can send such requests. One limit for each cause, so that none hides another.
        static ERRORS: parking_lot::Mutex<BTreeMap<String, Throttle>> =
            parking_lot::Mutex::new(BTreeMap::new());
        let passed = ERRORS.lock().entry(cause.to_owned()).or_default().pass(std::time::Instant::now());
        match passed {
            Some(others) => {
                tracing::error!(target: "latchwork::layer", cause, others, "cannot find the key of a request");
            }
            None => tracing::debug!(target: "latchwork::layer", cause, "cannot find the key of a request"),
        }
    }
    #[cfg(not(feature = "tracing"))]
    let _ = cause;
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR)
}
