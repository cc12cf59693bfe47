//! [`Problem`]: a refusal, and its members.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::kind::ProblemKind;
use crate::stamp::Stamp;
use crate::versioned::Expect;

/// A refusal, answered as `application/problem+json` (RFC 9457).
///
/// Every error of this crate can be converted into one. So `?` in a handler of axum that returns `Result<_, Problem>`
/// answers with the status, the body and the headers that [problems](crate::docs::problems) lists. Elsewhere
/// [`response`](Self::response) does it.
///
/// A problem contains no value, key or name. A version that is known to be the current one is also in `ETag`. Caches must
/// not store a problem (`Cache-Control: no-store`).
///
/// # Other bodies
///
/// The problem is in the extensions of its response. So one layer around the routes can give all refusals another body,
/// and keep the status and the headers:
///
/// ```
/// use axum::{Router, middleware::map_response, response::{IntoResponse, Response}, routing::put};
/// use latchwork::web::Problem;
///
/// async fn plain(response: Response) -> Response {
///     let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
///     let (mut parts, _) = response.into_parts();
///     parts.headers.remove("content-type");
///     (parts.status, parts.headers, format!("Sorry: {}.\n", problem.title())).into_response()
/// }
///
/// # latchwork::__example!(async {
/// # use axum::{body::{Body, to_bytes}, http::Request};
/// # use tower::ServiceExt;
/// let routes = Router::new().route("/", put(async || Problem::lock_lost()));
/// let answer = routes.layer(map_response(plain)).oneshot(Request::put("/").body(Body::empty())?).await?;
/// assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse()?));
/// assert_eq!(to_bytes(answer.into_body(), 100).await?, "Sorry: the lock was lost.\n");
/// # });
/// ```
///
/// # Examples
///
/// ```
/// use http::StatusCode;
/// use latchwork::web::{Problem, ProblemKind};
/// use std::time::Duration;
///
/// let locks = latchwork::KeyedLock::<String>::new();
/// let _guard = locks.try_lock("ada")?;
/// let busy = Problem::from(locks.try_lock("ada").unwrap_err());
/// assert_eq!((busy.kind(), busy.is_retryable()), (Some(ProblemKind::Busy), true));
/// assert_eq!(busy.to_string(), "409 the key is busy");
///
/// let sold_out = Problem::new(StatusCode::CONFLICT)
///     .with_type("/problems/sold-out", "sold out")
///     .with_detail("there are new tickets at noon")
///     .with_retry_after(Duration::from_millis(2_100));
/// assert_eq!(sold_out.to_string(), "409 sold out: there are new tickets at noon");
/// assert_eq!((sold_out.retry_after_seconds(), sold_out.kind()), (Some(3), None));
/// # Ok::<(), latchwork::Busy>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem(Box<Members>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Members {
    /// `None` for a type that is not this crate's.
    kind: Option<ProblemKind>,
    type_uri: Cow<'static, str>,
    title: Cow<'static, str>,
    status: StatusCode,
    detail: Option<Cow<'static, str>>,
    expected: Option<Expect>,
    /// `None`: unknown. `Some(None)`: no value exists. `Some(Some(stamp))`: the current version.
    current: Option<Option<Stamp>>,
    is_retryable: bool,
    retry_after: Option<Duration>,
    attempts: Option<u64>,
}

impl Problem {
    /// Creates a problem that needs no type of its own. Its type is `about:blank`, and its title is the name of the
    /// status (RFC 9457, section 4.2.1).
    ///
    /// With the statuses 429 and 503 it is retryable. A 503 is sent with `Retry-After: 1`.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        let is_unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
        Self(Box::new(Members {
            kind: None,
            type_uri: Cow::Borrowed("about:blank"),
            title: Cow::Borrowed(status.canonical_reason().unwrap_or("")),
            status,
            detail: None,
            expected: None,
            current: None,
            is_retryable: is_unavailable || status == StatusCode::TOO_MANY_REQUESTS,
            retry_after: is_unavailable.then_some(Duration::from_secs(1)),
            attempts: None,
        }))
    }

    pub(super) fn of(kind: ProblemKind) -> Self {
        let mut problem = Self::new(kind.status()).with_type(kind.type_uri(), kind.title());
        problem.0.kind = Some(kind);
        problem.0.is_retryable = kind.is_retryable();
        problem.0.retry_after = kind.retry_after();
        problem
    }

    pub(in crate::web) fn bad_precondition(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::of(ProblemKind::BadPrecondition).with_detail(detail)
    }

    /// Turns a conflict into 412, for versions that came in `If-Match` or `If-None-Match`. Other problems stay as they
    /// are.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::web::Problem;
    ///
    /// let cell = latchwork::Versioned::new(7);
    /// let problem = Problem::from(cell.compare_and_set(latchwork::Stamp::MAX, 8).unwrap_err());
    /// assert_eq!(problem.status(), 409);
    /// assert_eq!(problem.precondition_failed().status(), 412);
    /// assert_eq!(Problem::queue_full().precondition_failed().status(), 503);
    /// ```
    #[must_use]
    pub fn precondition_failed(self) -> Self {
        if self.kind() != Some(ProblemKind::Conflict) {
            return self;
        }
        let Members { detail, expected, current, attempts, .. } = *self.0;
        // Not retryable, whatever the policy of retries said: the client must name another version.
        let mut failed = Self::of(ProblemKind::PreconditionFailed);
        failed.0.detail = detail;
        failed.0.expected = expected;
        failed.0.current = current;
        failed.0.attempts = attempts;
        failed
    }

    /// Sets another type, and its title. The problem has no [kind](Self::kind) of this crate then.
    #[must_use]
    pub fn with_type(
        mut self,
        uri: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.0.kind = None;
        self.0.type_uri = uri.into();
        self.0.title = title.into();
        self
    }

    /// Sets the text that explains this occurrence to people. Every client can read it.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Sets `Retry-After`, in whole seconds, rounded up, at least 1. The problem is retryable then.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self.with_retryable(true)
    }

    /// Sets whether a client may send the same request again without asking its user. If it may not, there is no
    /// `Retry-After`.
    #[must_use]
    pub fn with_retryable(mut self, is_retryable: bool) -> Self {
        self.0.is_retryable = is_retryable;
        self
    }

    /// Sets the current version, for the body and for `ETag`.
    #[must_use]
    pub fn with_current(mut self, stamp: Stamp) -> Self {
        self.0.current = Some(Some(stamp));
        self
    }

    /// Sets the number of attempts.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u64) -> Self {
        self.0.attempts = Some(attempts);
        self
    }

    /// Sets the expected version and the current one (`None`: no value exists).
    pub(super) fn with_versions(mut self, expected: Expect, current: Option<Stamp>) -> Self {
        self.0.expected = Some(expected);
        self.0.current = Some(current);
        self
    }

    /// Returns the kind, if the problem has one of this crate.
    #[must_use]
    pub fn kind(&self) -> Option<ProblemKind> {
        self.0.kind
    }

    /// Returns the type: a URI that identifies the kind of problem.
    #[must_use]
    pub fn type_uri(&self) -> &str {
        &self.0.type_uri
    }

    /// Returns the title: the kind of problem in words.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.0.title
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns the text that explains this occurrence.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// Returns the version that the write expected, for conflicts.
    #[must_use]
    pub fn expected(&self) -> Option<&Expect> {
        self.0.expected.as_ref()
    }

    /// Returns the current version. `None` if it is unknown, or if no value exists.
    #[must_use]
    pub fn current(&self) -> Option<Stamp> {
        self.0.current.flatten()
    }

    /// Returns `true` if a client may send the same request again without asking its user. After a conflict it must read
    /// again first.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.is_retryable
    }

    /// Returns the value of `Retry-After`.
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let wait = self.0.retry_after.filter(|_| self.0.is_retryable)?;
        Some(wait.as_secs().saturating_add((wait.subsec_nanos() > 0).into()).max(1))
    }

    /// Returns the number of attempts, if it is known.
    #[must_use]
    pub fn attempts(&self) -> Option<u64> {
        self.0.attempts
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the current version as [`current`](Self::current) does; `Some(None)` if it is known that no value exists.
    pub(super) fn found(&self) -> Option<Option<Stamp>> {
        self.0.current
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status().as_u16(), self.title())?;
        match self.detail() {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl Error for Problem {}
