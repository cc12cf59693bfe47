//! A stamp as the entity tag of HTTP.

use thiserror::Error;

use super::{ParseStampError, Stamp};

/// An entity tag is not that of a [`Stamp`].
///
/// # Examples
///
/// ```
/// use latchwork::{Stamp, stamp::BadEtag};
///
/// assert_eq!(Stamp::from_etag(r#"W/"7""#), Err(BadEtag::Weak));
/// assert_eq!(BadEtag::Weak.to_string(), "a weak entity tag names no single version");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BadEtag {
    /// It is weak, `W/"7"`: several versions may have the same.
    #[error("a weak entity tag names no single version")]
    Weak,
    /// It is `*`, which stands for every version.
    #[error("* names no single version")]
    Any,
    /// There are several, `"7", "8"`.
    #[error("more than one entity tag")]
    Many,
    /// The double quotes are missing.
    #[error("an entity tag needs double quotes")]
    Unquoted,
    /// A proxy changed it when it compressed the answer, `"7-gzip"`.
    #[error("the entity tag has a suffix from a proxy that compressed the answer")]
    Suffixed,
    /// The text in the quotes is not a stamp.
    #[error("the entity tag is not that of a stamp")]
    NotAStamp(#[source] ParseStampError),
}

/// What separates a tag from what a proxy appends when it compresses the answer.
const MARKS: [char; 5] = ['-', ';', ':', '_', '.'];

/// The greatest length of what is appended: some proxies append the names of two codings.
const MAX_SUFFIX: usize = 16;

impl Stamp {
    /// Returns the stamp as a strong entity tag, for the header `ETag` (RFC 9110, section 8.8.3).
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::Stamp::MIN.etag(), r#""1""#);
    /// ```
    #[must_use]
    pub fn etag(self) -> String {
        format!("\"{self}\"")
    }

    /// Reads what [`etag`](Self::etag) writes: one strong entity tag, as in `If-Match`.
    ///
    /// # Errors
    ///
    /// [`BadEtag`] for any other text, also for one with spaces around the tag.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, stamp::BadEtag};
    ///
    /// assert_eq!(Stamp::from_etag(r#""7""#)?.get(), 7);
    /// assert_eq!(Stamp::from_etag("7"), Err(BadEtag::Unquoted));
    /// # Ok::<(), BadEtag>(())
    /// ```
    pub fn from_etag(tag: &str) -> Result<Self, BadEtag> {
        if tag == "*" {
            return Err(BadEtag::Any);
        }
        let (is_weak, quoted) = match tag.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, tag),
        };
        let opaque = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match opaque {
            None => Err(BadEtag::Unquoted),
            Some(opaque) if opaque.contains('"') => Err(BadEtag::Many),
            Some(_) if is_weak => Err(BadEtag::Weak),
            Some(opaque) if is_suffixed(opaque) => Err(BadEtag::Suffixed),
            Some(opaque) => opaque.parse().map_err(BadEtag::NotAStamp),
        }
    }
}

/// Returns `true` if the text in a tag is a stamp with something appended: one or two marks and a short word, which may
/// have marks inside. The name of a coding is not enough: proxies shorten it (`7-df`), or append two (`7-gzip-gzip`).
///
/// The word begins with a letter. `7.5` is a tag of another kind, and no stamp that was changed.
pub(crate) fn is_suffixed(opaque: &str) -> bool {
    let end = opaque.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(opaque.len());
    let (number, suffix) = opaque.split_at(end);
    let Some(word) = suffix.strip_prefix(MARKS) else { return false };
    let word = word.strip_prefix(MARKS).unwrap_or(word);
    let is_known = |char: char| char.is_ascii_alphanumeric() || MARKS.contains(&char);
    word.starts_with(|char: char| char.is_ascii_alphabetic())
        && word.len() <= MAX_SUFFIX
        && word.chars().all(is_known)
        && number.parse::<Stamp>().is_ok()
}
