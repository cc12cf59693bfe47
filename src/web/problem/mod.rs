//! [`Problem`]: a refusal as it is answered (RFC 9457).

mod answer;
mod errors;
mod kind;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use ::axum::http::StatusCode;

pub use self::kind::ProblemKind;
use crate::stamp::Stamp;
use crate::versioned::Expect;

/// A refusal, answered as `application/problem+json` (RFC 9457).
///
/// Every error of this crate becomes one, so `?` in a handler that returns `Result<_, Problem>` answers with the
/// status, the body and the headers that [problems](crate::docs::problems) lists. No value, key or name is in it.
/// A version that is known to be the current one also stands in `ETag`, and nothing may be stored
/// (`Cache-Control: no-store`).
///
/// # Bodies of one's own
///
/// The response carries the problem in its extensions, so one layer around the routes can give all
/// refusals another body; status and headers stay:
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
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # use axum::{body::{Body, to_bytes}, http::Request};
/// # use tower::ServiceExt;
/// let routes = Router::new().route("/", put(async || Problem::queue_full()));
/// let answer = routes.layer(map_response(plain)).oneshot(Request::put("/").body(Body::empty())?).await?;
/// assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse()?));
/// assert_eq!(to_bytes(answer.into_body(), 100).await?, "Sorry: too many wait for the key.\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Examples
///
/// ```
/// use axum::http::StatusCode;
/// use latchwork::web::Problem;
///
/// let locks = latchwork::KeyedLock::<String>::new();
/// let _guard = locks.try_lock("ada")?;
/// let busy = Problem::from(locks.try_lock("ada").unwrap_err());
/// assert_eq!((busy.status(), busy.is_retryable()), (StatusCode::CONFLICT, true));
/// assert_eq!(busy.to_string(), "409 the key is busy");
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
    /// Nothing is known about it; there is none; or it is this.
    current: Option<Option<Stamp>>,
    is_retryable: bool,
    retry_after: Option<Duration>,
    attempts: Option<u64>,
}

impl Problem {
    /// A problem that the status says enough about. Its type is `about:blank`, its title the status in words
    /// (RFC 9457, section 4.2.1).
    ///
    /// With the statuses 429 and 503 it is taken for one that passes, and a 503 is sent with `Retry-After: 1`.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::http::StatusCode;
    /// use latchwork::web::Problem;
    ///
    /// let problem = Problem::new(StatusCode::NOT_FOUND).with_detail("there is no such card");
    /// assert_eq!((problem.type_uri(), problem.title()), ("about:blank", "Not Found"));
    /// ```
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

    /// A precondition in a header was what a stale version was named in: 412 instead of 409. A problem of another
    /// kind stays as it is.
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
        // Whoever named the version has to name another, however often it was tried.
        let mut failed = Self::of(ProblemKind::PreconditionFailed);
        failed.0.detail = detail;
        failed.0.expected = expected;
        failed.0.current = current;
        failed.0.attempts = attempts;
        failed
    }

    /// Gives it another type, and the title that goes with that. It is no longer of a [kind](Self::kind) of
    /// this crate.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::http::StatusCode;
    /// use latchwork::web::Problem;
    ///
    /// let sold_out = Problem::new(StatusCode::CONFLICT).with_type("/problems/sold-out", "it is sold out");
    /// assert_eq!(sold_out.to_string(), "409 it is sold out");
    /// ```
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

    /// Says what is special about this one, to people. Everybody who sends such requests can read it.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::http::StatusCode;
    ///
    /// let problem = latchwork::web::Problem::new(StatusCode::NOT_FOUND).with_detail("no such card");
    /// assert_eq!(problem.detail(), Some("no such card"));
    /// ```
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Says when the same request may be sent again: `Retry-After`, in whole seconds, rounded up, at least 1.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let problem = latchwork::web::Problem::queue_full().with_retry_after(Duration::from_millis(2_100));
    /// assert_eq!(problem.retry_after_seconds(), Some(3));
    /// ```
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self.with_retryable(true)
    }

    /// Says whether a client may send the same request again of its own accord.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(!latchwork::web::Problem::queue_full().with_retryable(false).is_retryable());
    /// ```
    #[must_use]
    pub fn with_retryable(mut self, is_retryable: bool) -> Self {
        self.0.is_retryable = is_retryable;
        self
    }

    /// Says which version is the current one, in the body and in `ETag`.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::http::StatusCode;
    /// use latchwork::{Stamp, web::Problem};
    ///
    /// let problem = Problem::new(StatusCode::CONFLICT).with_current(Stamp::MIN);
    /// assert_eq!(problem.current(), Some(Stamp::MIN));
    /// ```
    #[must_use]
    pub fn with_current(mut self, stamp: Stamp) -> Self {
        self.0.current = Some(Some(stamp));
        self
    }

    /// Says how often it was tried.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::web::Problem::lock_lost().with_attempts(4).attempts(), Some(4));
    /// ```
    #[must_use]
    pub fn with_attempts(mut self, attempts: u64) -> Self {
        self.0.attempts = Some(attempts);
        self
    }

    /// As [`with_current`](Self::with_current), or that there is no value; and what was expected instead.
    pub(super) fn with_versions(mut self, expected: Expect, current: Option<Stamp>) -> Self {
        self.0.expected = Some(expected);
        self.0.current = Some(current);
        self
    }

    /// The kind, if it is one of this crate's.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::web::{Problem, ProblemKind};
    ///
    /// assert_eq!(Problem::queue_full().kind(), Some(ProblemKind::QueueFull));
    /// ```
    #[must_use]
    pub fn kind(&self) -> Option<ProblemKind> {
        self.0.kind
    }

    /// The type: a URI that stands for what kind of problem this is.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(latchwork::web::Problem::queue_full().type_uri().ends_with("#queue-full"));
    /// ```
    #[must_use]
    pub fn type_uri(&self) -> &str {
        &self.0.type_uri
    }

    /// What kind of problem this is, in words.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::web::Problem::lock_lost().title(), "the lock was lost");
    /// ```
    #[must_use]
    pub fn title(&self) -> &str {
        &self.0.title
    }

    /// The status.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::web::Problem::lock_lost().status(), 503);
    /// ```
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What is special about this one, in words.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::web::Problem::lock_lost().detail(), None);
    /// ```
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// What the write wanted to find, for conflicts.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, versioned::Expect, web::Problem};
    ///
    /// let error = latchwork::Versioned::new(7).compare_and_set(Stamp::MAX, 8).unwrap_err();
    /// assert_eq!(Problem::from(error).expected(), Some(&Expect::Exact(Stamp::MAX)));
    /// ```
    #[must_use]
    pub fn expected(&self) -> Option<&Expect> {
        self.0.expected.as_ref()
    }

    /// The version that there is. `None` if it is not known, or if there is no value.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, web::Problem};
    ///
    /// let error = latchwork::Versioned::new(7).compare_and_set(Stamp::MAX, 8).unwrap_err();
    /// assert_eq!(Problem::from(error).current(), Some(Stamp::MIN));
    /// ```
    #[must_use]
    pub fn current(&self) -> Option<Stamp> {
        self.0.current.flatten()
    }

    /// Whether a client may send the same request again of its own accord. After a conflict it may not: it has
    /// to read again first.
    ///
    /// # Examples
    ///
    /// ```
    /// assert!(latchwork::web::Problem::queue_full().is_retryable());
    /// ```
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.is_retryable
    }

    /// What is sent as `Retry-After`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let problem = latchwork::web::Problem::lock_lost().with_retry_after(Duration::ZERO);
    /// assert_eq!(problem.retry_after_seconds(), Some(1));
    /// ```
    #[must_use]
    pub fn retry_after_seconds(&self) -> Option<u64> {
        let wait = self.0.retry_after?;
        Some(wait.as_secs().saturating_add((wait.subsec_nanos() > 0).into()).max(1))
    }

    /// How often it was tried, if that is known.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::web::Problem::lock_lost().attempts(), None);
    /// ```
    #[must_use]
    pub fn attempts(&self) -> Option<u64> {
        self.0.attempts
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// As [`current`](Self::current); `Some(None)` if it is known that there is no value.
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
