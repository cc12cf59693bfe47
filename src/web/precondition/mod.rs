//! [`IfMatch`] and [`IfNoneMatch`]: what a request wants to find, as an [`Expect`].

mod etags;
mod tagged;

use ::axum::extract::{FromRequestParts, OptionalFromRequestParts};
use ::axum::http::request::Parts;
use ::axum::http::{HeaderName, Method, header};

use self::etags::{BadTags, Tags};
pub use self::tagged::Tagged;
use super::problem::{Problem, ProblemKind};
use crate::stamp::Stamp;
use crate::versioned::Expect;

/// The header `If-Match`: which versions a write may replace (RFC 9110, section 13.1.1).
///
/// | header | as an extractor |
/// |---|---|
/// | missing | 428; `None` for an `Option<IfMatch>` |
/// | `*` | [`Expect::Present`] |
/// | `"7"` | [`Expect::Exact`] |
/// | `"7", "8"`, also on several lines | [`Expect::OneOf`] |
/// | `"x"`, `"07"` | matches nothing: 412 from the write |
/// | `W/"7"`, alone or among others | 400 |
/// | malformed, `*` among others, no tag at all, more than 8 KiB | 400 |
///
/// A well-formed tag that is not one of a [`Stamp`] is from somewhere else: from an earlier release that hashed
/// its answers, say. Its client did nothing wrong, and must be told to read again, which 412 does and 400 does
/// not. A weak tag never matches here, and reading again gives another weak one where a proxy weakens them
/// (as it does when it compresses); so whoever sends one is told at once, by 400. A header without a tag
/// is correct, and is refused all the same: a client that forgot to fill it in is not to be told that somebody
/// else was faster.
///
/// A handler that has to find the value first answers 404 before it looks at preconditions (section 13.2.1).
///
/// # Errors
///
/// The rejection is a [`Problem`]: 428 or 400.
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
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # use axum::{Router, body::Body, http::Request, routing::put};
/// # use tower::ServiceExt;
/// let routes = Router::new().route("/", put(rename)).with_state(Arc::new(Versioned::new("Ada".to_owned())));
/// # let request = |tag: &str| Request::put("/").header("if-match", tag).body(Body::empty());
/// assert_eq!(routes.clone().oneshot(request(r#""1""#)?).await?.headers()["etag"], r#""2""#);
/// assert_eq!(routes.oneshot(request(r#""1""#)?).await?.status(), 412);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IfMatch(Expect);

impl IfMatch {
    /// What the write is to find.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{RequestPartsExt, http::Request};
    /// use latchwork::{versioned::Expect, web::IfMatch};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let (mut parts, ()) = Request::put("/").header("if-match", "*").body(())?.into_parts();
    /// assert_eq!(parts.extract::<IfMatch>().await?.expect(), Expect::Present);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn expect(&self) -> Expect {
        self.0.clone()
    }

    /// What the write is to find.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{RequestPartsExt, http::Request};
    /// use latchwork::{Stamp, versioned::Expect, web::IfMatch};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let (mut parts, ()) = Request::put("/").header("if-match", r#""1""#).body(())?.into_parts();
    /// assert_eq!(parts.extract::<IfMatch>().await?.into_expect(), Expect::Exact(Stamp::MIN));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn into_expect(self) -> Expect {
        self.0
    }

    /// The answer to a write that was made with [`expect`](Self::expect) and failed: 412 where another version was
    /// found, since it was this header that named one; for every other error its own problem.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{RequestPartsExt, http::Request};
    /// use latchwork::{Versioned, web::IfMatch};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let (mut parts, ()) = Request::put("/").header("if-match", r#""6""#).body(())?.into_parts();
    /// let if_match: IfMatch = parts.extract().await?;
    /// let error = Versioned::new("Ada").compare_and_set(&if_match, "Grace").unwrap_err();
    /// assert_eq!(if_match.refuse(error).status(), 412);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn refuse(&self, error: impl Into<Problem>) -> Problem {
        error.into().precondition_failed()
    }

    fn read(parts: &Parts) -> Result<Option<Self>, Problem> {
        match etags::read(&parts.headers, &header::IF_MATCH) {
            Ok(None) => Ok(None),
            Ok(Some(Tags::Any)) => Ok(Some(Self(Expect::Present))),
            Ok(Some(Tags::List { has_weak: true, .. })) => Err(weak()),
            Ok(Some(Tags::List { stamps, .. })) => Ok(Some(Self(one_of(stamps)))),
            Err(why) => Err(bad("If-Match", why)),
        }
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

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        required(Self::read(parts), &header::IF_MATCH)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Self::read(parts)
    }
}

/// The header `If-None-Match`: which versions a read has already, and that a write is to replace none (RFC 9110,
/// section 13.1.2).
///
/// | header | as an extractor |
/// |---|---|
/// | missing | 428; `None` for an `Option<IfNoneMatch>` |
/// | `*` | [`Expect::Absent`] |
/// | `"7"`, `W/"7"`, lists of them, also on several lines | [`Expect::NoneOf`] |
/// | `"x"`, `"07"` | matches nothing, so every version is welcome |
/// | malformed, `*` among others, no tag at all, more than 8 KiB | 400 |
///
/// Tags are compared weakly: `W/"7"` is `"7"`.
///
/// # Errors
///
/// The rejection is a [`Problem`]: 428 or 400.
///
/// # Examples
///
/// ```
/// use axum::{RequestPartsExt, http::Request};
/// use latchwork::{VersionedMap, web::IfNoneMatch};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let cards = VersionedMap::<&str, &str>::new();
/// let (mut parts, ()) = Request::put("/cards/ada").header("if-none-match", "*").body(())?.into_parts();
/// let if_none_match: IfNoneMatch = parts.extract().await?;
/// assert!(cards.upsert("ada", &if_none_match, "Ada").is_ok());
/// let error = cards.upsert("ada", &if_none_match, "Augusta").unwrap_err();
/// assert_eq!(if_none_match.refuse(error).status(), 412);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IfNoneMatch {
    expect: Expect,
    /// It came with a GET or a HEAD, to which 304 is an answer.
    is_read: bool,
}

impl IfNoneMatch {
    /// What the write is to find.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{RequestPartsExt, http::Request};
    /// use latchwork::{versioned::Expect, web::IfNoneMatch};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let (mut parts, ()) = Request::put("/").header("if-none-match", "*").body(())?.into_parts();
    /// assert_eq!(parts.extract::<IfNoneMatch>().await?.expect(), Expect::Absent);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn expect(&self) -> Expect {
        self.expect.clone()
    }

    /// What the write is to find.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{RequestPartsExt, http::Request};
    /// use latchwork::{Stamp, versioned::Expect, web::IfNoneMatch};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let (mut parts, ()) = Request::put("/").header("if-none-match", r#"W/"1""#).body(())?.into_parts();
    /// let expect = parts.extract::<IfNoneMatch>().await?.into_expect();
    /// assert_eq!(expect, Expect::NoneOf([Stamp::MIN].into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn into_expect(self) -> Expect {
        self.expect
    }

    /// Whether it names this version, with `*` whichever it is: the client has it. For a read see
    /// [`Tagged::not_modified_for`](super::Tagged::not_modified_for).
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{RequestPartsExt, http::Request};
    /// use latchwork::{Stamp, web::IfNoneMatch};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let (mut parts, ()) = Request::get("/").header("if-none-match", r#""1", "3""#).body(())?.into_parts();
    /// let if_none_match: IfNoneMatch = parts.extract().await?;
    /// assert!(if_none_match.matches(Stamp::MIN) && !if_none_match.matches(Stamp::MAX));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn matches(&self, stamp: Stamp) -> bool {
        !self.expect.admits(Some(stamp))
    }

    /// The answer to a write that was made with [`expect`](Self::expect) and failed: 412 where a version was found
    /// that this header excludes; for every other error its own problem.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{RequestPartsExt, http::Request};
    /// use latchwork::{Versioned, web::IfNoneMatch};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let (mut parts, ()) = Request::put("/").header("if-none-match", r#""1""#).body(())?.into_parts();
    /// let if_none_match: IfNoneMatch = parts.extract().await?;
    /// let error = Versioned::new("Ada").compare_and_set(&if_none_match, "Grace").unwrap_err();
    /// assert_eq!(if_none_match.refuse(error).status(), 412);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn refuse(&self, error: impl Into<Problem>) -> Problem {
        error.into().precondition_failed()
    }

    pub(super) fn is_satisfied_by(&self, stamp: Stamp) -> bool {
        self.is_read && self.matches(stamp)
    }

    fn read(parts: &Parts) -> Result<Option<Self>, Problem> {
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        let expect = match etags::read(&parts.headers, &header::IF_NONE_MATCH) {
            Ok(None) => return Ok(None),
            Ok(Some(Tags::Any)) => Expect::Absent,
            Ok(Some(Tags::List { stamps, .. })) => Expect::NoneOf(stamps.into()),
            Err(why) => return Err(bad("If-None-Match", why)),
        };
        Ok(Some(Self { expect, is_read }))
    }
}

impl From<IfNoneMatch> for Expect {
    fn from(if_none_match: IfNoneMatch) -> Self {
        if_none_match.expect
    }
}

impl From<&IfNoneMatch> for Expect {
    fn from(if_none_match: &IfNoneMatch) -> Self {
        if_none_match.expect.clone()
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        required(Self::read(parts), &header::IF_NONE_MATCH)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Self::read(parts)
    }
}

/// Exactly one of ours is exact, however many others there are that match nothing.
fn one_of(stamps: Vec<Stamp>) -> Expect {
    match stamps[..] {
        [stamp] => Expect::Exact(stamp),
        _ => Expect::OneOf(stamps.into()),
    }
}

fn required<T>(read: Result<Option<T>, Problem>, name: &HeaderName) -> Result<T, Problem> {
    read?.ok_or_else(|| Problem::precondition_required(format!("the header {name} is missing")))
}

fn weak() -> Problem {
    const DETAIL: &str = "If-Match: a weak entity tag names no single version";
    Problem::of(ProblemKind::BadPrecondition).with_detail(DETAIL)
}

fn bad(name: &str, why: BadTags) -> Problem {
    Problem::of(ProblemKind::BadPrecondition).with_detail(format!("{name}: {why}"))
}
