//! [`IfMatch`]: which versions a write may replace.

use http::header::IF_MATCH;
use http::request::Parts;

use super::etags::{self, BadTags, Tags};
use crate::stamp::Stamp;
use crate::versioned::Expect;
use crate::web::problem::Problem;

/// The header `If-Match`: which versions a write may replace (RFC 9110, section 13.1.1).
///
/// [`read`](Self::read) and [`require`](Self::require) read it from a request. For axum it is also an extractor:
/// `Option<IfMatch>` reads, and `IfMatch` requires it.
///
/// | header | result |
/// |---|---|
/// | missing | `None`, or 428 if it is required |
/// | `*` | [`Expect::Present`] |
/// | `"7"` | [`Expect::Exact`] |
/// | `"7", "8"`, also on several lines | [`Expect::OneOf`] |
/// | `"x"`, `"07"` | matches nothing: 412 from the write |
/// | `W/"7"`, alone or among others | 400 |
/// | `"7-gzip"`, `"7--gzip"`, `"7;gzip"` and the like, alone or among others | 400 |
/// | malformed, `*` among others, no tag at all, more than 8 KiB | 400 |
///
/// A well-formed tag that is no [`Stamp`] has another origin, such as an earlier release that hashed its answers. Its
/// client did nothing wrong and must read again. 412 says so, and 400 does not.
///
/// A weak tag never matches here. If a proxy weakens the tags (as some do when they compress), reading again gives another
/// weak tag. So the client gets 400 at once. The same is true of a proxy that appends the name of a coding, as Apache,
/// Caddy and Jetty do: see [compressing proxies](crate::docs::problems#compressing-proxies).
///
/// A header without a tag is correct HTTP, and is refused nevertheless. The answer to a client that forgot to fill it in
/// should not blame another client.
///
/// `If-Unmodified-Since` is ignored, as RFC 9110 demands for values without a date (section 13.1.4). A stamp tells apart two
/// writes of the same second, which a date does not. A client that sends only a date gets 428 where the header is
/// required.
///
/// A handler that has to find the value first answers 404 before it looks at preconditions (section 13.2.1).
///
/// # Examples
///
/// ```
/// use axum::{extract::State, http::HeaderMap};
/// use latchwork::{Versioned, web::{IfMatch, Problem, Tagged}};
/// use std::sync::Arc;
///
/// async fn rename(
///     State(name): State<Arc<Versioned<String>>>, if_match: IfMatch, new: String,
/// ) -> Result<Tagged<()>, Problem> {
///     let saved = name.compare_and_set(&if_match, new).map_err(|error| if_match.refuse(error))?;
///     Ok(Tagged::new(saved.stamp(), ()))
/// }
/// # latchwork::__example!(async {
/// # use axum::{Router, body::Body, http::Request, routing::put};
/// # use tower::ServiceExt;
/// let routes = Router::new().route("/", put(rename)).with_state(Arc::new(Versioned::new("Ada".to_owned())));
/// # let request = |tag: &str| Request::put("/").header("if-match", tag).body(Body::empty());
/// assert_eq!(routes.clone().oneshot(request(r#""1""#)?).await?.headers()["etag"], r#""2""#);
/// assert_eq!(routes.oneshot(request(r#""1""#)?).await?.status(), 412);
/// # });
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IfMatch(Expect);

impl IfMatch {
    /// Reads the header of a request. Returns `None` if there is none.
    ///
    /// # Errors
    ///
    /// 400 if the header can't be used: see the table above.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Versioned, versioned::Expect, web::IfMatch};
    ///
    /// let (head, ()) = http::Request::put("/").header("if-match", r#""6""#).body(())?.into_parts();
    /// let if_match = IfMatch::require(&head)?;
    /// assert_eq!(if_match.expect(), Expect::Exact("6".parse()?));
    /// let error = Versioned::new("Ada").compare_and_set(&if_match, "Grace").unwrap_err();
    /// assert_eq!(if_match.refuse(error).status(), 412);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(head: &Parts) -> Result<Option<Self>, Problem> {
        let refuse = |why| etags::refuse(&IF_MATCH, why);
        match etags::read(&head.headers, &IF_MATCH).map_err(refuse)? {
            None => Ok(None),
            Some(Tags::Any) => Ok(Some(Self(Expect::Present))),
            Some(Tags::List { has_weak: true, .. }) => Err(refuse(BadTags::Weak)),
            Some(Tags::List { has_suffix: true, .. }) => Err(refuse(BadTags::Suffixed)),
            Some(Tags::List { stamps, .. }) => Ok(Some(Self(one_of(stamps)))),
        }
    }

    /// Reads the header of a request, which must have one.
    ///
    /// # Errors
    ///
    /// 428 if the header is missing, 400 if it can't be used.
    pub fn require(head: &Parts) -> Result<Self, Problem> {
        etags::required(Self::read(head)?, &IF_MATCH)
    }

    /// Returns the versions that the write may replace.
    #[must_use]
    pub fn expect(&self) -> Expect {
        self.0.clone()
    }

    /// Returns the versions that the write may replace.
    #[must_use]
    pub fn into_expect(self) -> Expect {
        self.0
    }

    /// Compares the header with the current version of a value in a database, read in the transaction that writes it. Pass
    /// `None` if no value exists.
    ///
    /// # Errors
    ///
    /// 412 with the current version, if the header does not admit it.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, web::IfMatch};
    ///
    /// let (head, ()) = http::Request::put("/").header("if-match", r#""6""#).body(())?.into_parts();
    /// let if_match = IfMatch::require(&head)?;
    /// let stored = Stamp::try_from(7_i64)?;   // SELECT version FROM cards WHERE id = $1 FOR UPDATE
    /// let problem = if_match.check(Some(stored)).unwrap_err();
    /// assert_eq!((problem.status().as_u16(), problem.current()), (412, Some(stored)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(&self, current: Option<Stamp>) -> Result<(), Problem> {
        check(&self.0, current)
    }

    /// Returns the answer to a write that failed: 412 for a conflict, and the error's own problem otherwise.
    ///
    /// The write must have used [`expect`](Self::expect): 412 says that this header was not met.
    #[must_use]
    pub fn refuse(&self, error: impl Into<Problem>) -> Problem {
        error.into().precondition_failed()
    }
}

impl From<IfMatch> for Expect {
    fn from(if_match: IfMatch) -> Self {
        if_match.0
    }
}

impl From<&IfMatch> for Expect {
    fn from(if_match: &IfMatch) -> Self {
        if_match.0.clone()
    }
}

/// Returns 412 if a header does not admit the current version.
pub(super) fn check(expect: &Expect, current: Option<Stamp>) -> Result<(), Problem> {
    if expect.admits(current) {
        return Ok(());
    }
    Err(Problem::conflict(expect.clone(), current).precondition_failed())
}

/// A single stamp is exact, even among tags that match nothing.
fn one_of(stamps: Vec<Stamp>) -> Expect {
    match stamps[..] {
        [stamp] => Expect::Exact(stamp),
        _ => Expect::OneOf(stamps.into()),
    }
}
