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

/// The codings whose names proxies append to the tags of answers that they compress: Apache and Caddy after `-`, Jetty
/// after `--` or `;`.
const CODINGS: [&str; 6] = ["gzip", "br", "zstd", "deflate", "compress", "x-gzip"];

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

/// Returns `true` if the text in a tag is a stamp, one or two punctuation marks, and the name of a coding.
pub(crate) fn is_suffixed(opaque: &str) -> bool {
    let end = opaque.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(opaque.len());
    let (number, suffix) = opaque.split_at(end);
    let Some(coding) = suffix.strip_prefix(|mark: char| mark.is_ascii_punctuation()) else { return false };
    let coding = coding.strip_prefix(|mark: char| mark.is_ascii_punctuation()).unwrap_or(coding);
    CODINGS.iter().any(|known| known.eq_ignore_ascii_case(coding)) && number.parse::<Stamp>().is_ok()
}
