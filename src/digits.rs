//! How the numbers of stamps and fences are read: by the same rules.

use thiserror::Error;

/// Why a text is not the number of a [`Stamp`](crate::Stamp) or a [`Fence`](crate::Fence).
///
/// There is one text for each number, so texts can be compared as they are: no sign, no space and no leading zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum BadNumber {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// It begins with a plus or a minus.
    #[error("it has a sign")]
    Sign,
    /// There is white space, at one end or inside.
    #[error("it has white space")]
    Space,
    /// There is another character than the digits 0 to 9.
    #[error("it has a character that is not a digit")]
    NotADigit,
    /// There is a zero before another digit.
    #[error("it has a leading zero")]
    LeadingZero,
    /// It is zero, and numbers begin at 1.
    #[error("it is zero")]
    Zero,
    /// It is greater than the greatest possible number.
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
    // Only digits are left, so it can only be too large.
    text.parse().ok().filter(|number| *number <= max).ok_or(BadNumber::TooLarge)
}
