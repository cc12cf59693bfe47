//! [`IfNoneMatch`]: which versions a reader has, and which a write must not replace.

use http::Method;
use http::header::IF_NONE_MATCH;
use http::request::Parts;

use super::etags::{self, BadTags, Tags};
use super::if_match::check;
use crate::stamp::Stamp;
use crate::versioned::Expect;
use crate::web::problem::Problem;

/// The header `If-None-Match` (RFC 9110, section 13.1.2). For a read it names the versions that the reader already has.
/// For a write it names the versions that the write must not replace.
///
/// [`read`](Self::read) and [`require`](Self::require) read it from a request. For axum it is also an extractor:
/// `Option<IfNoneMatch>` reads, and `IfNoneMatch` requires it.
///
/// | header | result |
/// |---|---|
/// | missing | `None`, or 428 if it is required |
/// | `*` | [`Expect::Absent`] |
/// | `"7"`, `W/"7"`, lists of them, also on several lines | [`Expect::NoneOf`] |
/// | `"x"`, `"07"` | matches nothing, so every version is admitted |
/// | `"7-gzip"`, `"7--gzip"`, `"7;gzip"` and the like | matches nothing for a read, 400 for a write |
/// | malformed, `*` among others, no tag at all, more than 8 KiB | 400 |
///
/// Tags are compared weakly: `W/"7"` equals `"7"`.
///
/// A tag like `"7-gzip"` is from a proxy that compresses: see
/// [compressing proxies](crate::docs::problems#compressing-proxies). A read with it gets the whole answer, and never 304.
///
/// `If-Modified-Since` is ignored: values have no date.
///
/// # Examples
///
/// ```
/// use latchwork::{Stamp, VersionedMap, web::IfNoneMatch};
///
/// let cards = VersionedMap::<&str, &str>::new();
/// let (head, ()) = http::Request::put("/cards/ada").header("if-none-match", "*").body(())?.into_parts();
/// let if_none_match = IfNoneMatch::require(&head)?;
/// assert!(cards.upsert("ada", &if_none_match, "Ada").is_ok());
/// let error = cards.upsert("ada", &if_none_match, "Augusta").unwrap_err();
/// assert_eq!(if_none_match.refuse(error).status(), 412);
///
/// let (head, ()) = http::Request::get("/").header("if-none-match", r#""1", "3""#).body(())?.into_parts();
/// let known = IfNoneMatch::require(&head)?;
/// assert!(known.matches(Stamp::MIN) && !known.matches(Stamp::MAX));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IfNoneMatch {
    expect: Expect,
    /// The method is GET or HEAD, so 304 is a possible answer.
    is_read: bool,
}

impl IfNoneMatch {
    /// Reads the header of a request. Returns `None` if there is none.
    ///
    /// # Errors
    ///
    /// 400 if the header can't be used: see the table above.
    pub fn read(head: &Parts) -> Result<Option<Self>, Problem> {
        let is_read = matches!(head.method, Method::GET | Method::HEAD);
        let refuse = |why| etags::refuse(&IF_NONE_MATCH, why);
        let expect = match etags::read(&head.headers, &IF_NONE_MATCH).map_err(refuse)? {
            None => return Ok(None),
            Some(Tags::Any) => Expect::Absent,
            // The write would be admitted, and replace the very version that its client wants to keep. A read is safe: its
            // client gets the whole answer.
            Some(Tags::List { has_suffix: true, .. }) if !is_read => return Err(refuse(BadTags::Suffixed)),
            Some(Tags::List { stamps, .. }) => Expect::NoneOf(stamps.into()),
        };
        Ok(Some(Self { expect, is_read }))
    }

    /// Reads the header of a request, which must have one.
    ///
    /// # Errors
    ///
    /// 428 if the header is missing, 400 if it can't be used.
    pub fn require(head: &Parts) -> Result<Self, Problem> {
        etags::required(Self::read(head)?, &IF_NONE_MATCH)
    }

    /// Returns what the write must find.
    #[must_use]
    pub fn expect(&self) -> Expect {
        self.expect.clone()
    }

    /// Returns what the write must find.
    #[must_use]
    pub fn into_expect(self) -> Expect {
        self.expect
    }

    /// Returns `true` if the header names this version. `*` names every version.
    ///
    /// For a read, see also [`Tagged::not_modified_for`](super::Tagged::not_modified_for).
    #[must_use]
    pub fn matches(&self, stamp: Stamp) -> bool {
        !self.expect.admits(Some(stamp))
    }

    /// Compares the header of a write with the current version of a value in a database, read in the transaction that
    /// writes it. Pass `None` if no value exists.
    ///
    /// # Errors
    ///
    /// 412 with the current version, if the header does not admit it.
    pub fn check(&self, current: Option<Stamp>) -> Result<(), Problem> {
        check(&self.expect, current)
    }

    /// Returns the answer to a write that failed: 412 for a conflict, and the error's own problem otherwise.
    ///
    /// The write must have used [`expect`](Self::expect): 412 says that this header was not met.
    #[must_use]
    pub fn refuse(&self, error: impl Into<Problem>) -> Problem {
        error.into().precondition_failed()
    }

    pub(super) fn is_satisfied_by(&self, stamp: Stamp) -> bool {
        self.is_read && self.matches(stamp)
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
