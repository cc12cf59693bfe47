//! Lists of entity tags, as in `If-Match` and `If-None-Match`.
//!
//! ```text
//! field      = "*" / [ entity-tag ] *( OWS "," OWS [ entity-tag ] )     RFC 9110, sections 13.1 and 5.6.1.2
//! entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE                            section 8.8.3
//! etagc      = %x21 / %x23-7E / %x80-FF                                 no space, no quote, but commas
//! ```
//!
//! Lines of the same name are one list, joined by a comma and a space (section 5.3). A tag has no space, so none can
//! span two lines, and each line is read by itself.
//!
//! A list is read once, from left to right, and only its stamps are kept. So [`MAX_LENGTH`] bounds time and memory,
//! however many lines, commas or quotes there are.

use std::fmt;

use http::header::IF_MATCH;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::stamp::{Stamp, is_suffixed};
use crate::web::problem::Problem;

/// The greatest length of all lines together: some hundreds of tags, more than a client needs. Servers admit headers of
/// hundreds of kilobytes.
const MAX_LENGTH: usize = 8 * 1024;

/// The value of a header.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Tags {
    /// `*`.
    Any,
    /// At least one tag.
    List {
        /// The tags that are stamps. Other tags match nothing.
        stamps: Vec<Stamp>,
        /// There is a weak tag.
        has_weak: bool,
        /// There is a tag that a proxy changed when it compressed the answer.
        has_suffix: bool,
    },
}

/// Why a header can't be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BadTags {
    /// It is neither `*` nor a list of tags.
    Malformed,
    /// It has no tag.
    Empty,
    /// It is longer than [`MAX_LENGTH`].
    TooLong,
    /// It has a weak tag, where only strong ones can be used.
    Weak,
    /// It has a tag that a proxy changed when it compressed the answer.
    Suffixed,
}

impl fmt::Display for BadTags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "neither * nor a list of entity tags",
            Self::Empty => "the list has no entity tag",
            Self::TooLong => "longer than 8 KiB",
            Self::Weak => "weak entity tags can't be used here",
            Self::Suffixed => {
                "a proxy changed the entity tag when it compressed the answer: send it without its suffix"
            }
        })
    }
}

/// Reads all lines of a header. Returns `None` if there is none.
pub(super) fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, BadTags> {
    let lines = || headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let Some(first) = lines().next() else { return Ok(None) };
    // Each line counts one byte more, which bounds the number of empty lines.
    if lines().map(|line| line.len() + 1).sum::<usize>() > MAX_LENGTH {
        return Err(BadTags::TooLong);
    }
    if lines().nth(1).is_none() && trim(first) == b"*" {
        return Ok(Some(Tags::Any));
    }
    let (mut stamps, mut has_any) = (Vec::new(), false);
    let (mut has_weak, mut has_suffix) = (false, false);
    for line in lines() {
        let mut rest = trim(line);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(b",") {
                rest = trim(after);
                continue;
            }
            let tag = Tag::first(&mut rest).ok_or(BadTags::Malformed)?;
            rest = trim(rest);
            if !rest.is_empty() && !rest.starts_with(b",") {
                return Err(BadTags::Malformed);
            }
            has_any = true;
            has_weak |= tag.is_weak;
            // Tags of others may have any bytes. Those of stamps are text.
            if let Ok(text) = str::from_utf8(tag.opaque) {
                has_suffix |= is_suffixed(text);
                // Tags are compared byte by byte, and a stamp has one spelling.
                stamps.extend(text.parse::<Stamp>());
            }
        }
    }
    if has_any { Ok(Some(Tags::List { stamps, has_weak, has_suffix })) } else { Err(BadTags::Empty) }
}

/// Returns 400 for a header that can't be used.
pub(super) fn refuse(name: &HeaderName, why: BadTags) -> Problem {
    let name = if *name == IF_MATCH { "If-Match" } else { "If-None-Match" };
    Problem::bad_precondition(format!("{name}: {why}"))
}

/// Returns 428 if there is no header of this name.
pub(super) fn required<T>(header: Option<T>, name: &HeaderName) -> Result<T, Problem> {
    header.ok_or_else(|| Problem::precondition_required(format!("the header {name} is missing")))
}

struct Tag<'a> {
    is_weak: bool,
    opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    /// Removes the tag at the beginning of `rest`.
    fn first(rest: &mut &'a [u8]) -> Option<Self> {
        let (is_weak, quoted) = match rest.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, *rest),
        };
        let inside = quoted.strip_prefix(b"\"")?;
        let end = inside.iter().position(|byte| *byte == b'"')?;
        let (opaque, after) = inside.split_at(end);
        *rest = &after[1..];
        opaque.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..)).then_some(Self { is_weak, opaque })
    }
}

/// Returns the text without the spaces and tabs around it (OWS).
fn trim(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &text[start..end]
}
