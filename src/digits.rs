//! The one way to write a number that names something: stamps and fences are read by the same rules.

use thiserror::Error;

/// What is wrong with a text that should be the number of a [`Stamp`](crate::Stamp) or a
/// [`Fence`](crate::Fence).
///
/// There is one text for each number, so that texts can be compared as they are: no sign, no space and
/// no leading zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BadNumber {
    /// There is no text.
    #[error("it is empty")]
    Empty,
    /// It begins with a plus or a minus.
    #[error("it has a sign")]
    Sign,
    /// There is white space, at an end or inside.
    #[error("it has white space")]
    Space,
    /// There is another character than the digits 0 to 9.
    #[error("it has a character that is no digit")]
    NotADigit,
    /// There is a zero before the first digit that counts.
    #[error("it has a leading zero")]
    LeadingZero,
    /// It is zero, which numbers nothing.
    #[error("it is zero")]
    Zero,
    /// It is greater than the greatest.
    #[error("it is too large")]
    TooLarge,
}

/// Reads a number from 1 to `max`.
pub(crate) fn parse(text: &str, max: u64) -> Result<u64, BadNumber> {
    if text.is_empty() {
        return Err(BadNumber::Empty);
    }
    if text.contains(char::is_whitespace) {
        return Err(BadNumber::Space);
    }
    if text.starts_with(['+', '-']) {
        return Err(BadNumber::Sign);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadNumber::NotADigit);
    }
    match text.as_bytes() {
        [b'0'] => return Err(BadNumber::Zero),
        [b'0', ..] => return Err(BadNumber::LeadingZero),
        _ => {}
    }
    // Nothing but digits is left, so it can only be too large.
    text.parse().ok().filter(|number| *number <= max).ok_or(BadNumber::TooLarge)
}
