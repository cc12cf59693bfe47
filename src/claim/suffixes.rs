//! Suffixes that make another name of a taken one.

use std::fmt::{Display, Write as _};
use std::iter;

/// Returns `base`, and then `base` with each of the suffixes. They are put together in one buffer.
pub(super) fn suffixed<K: for<'a> From<&'a str>>(
    base: &str,
    suffixes: impl IntoIterator<Item: Display>,
) -> impl Iterator<Item = K> {
    let mut text = String::new();
    let others = suffixes.into_iter().map(move |suffix| {
        text.clear();
        write!(text, "{base}{suffix}").expect("a suffix can be shown");
        K::from(&text)
    });
    iter::once_with(|| K::from(base)).chain(others)
}

/// Returns the suffixes "-2", "-3" and so on, for [`claim_unique`](super::Claims::claim_unique).
///
/// The names are readable, and easy to guess. The n-th claim of one name tries n names: see [`random_suffixes`].
///
/// # Examples
///
/// ```
/// assert!(latchwork::claim::numbered_suffixes().take(2).eq(["-2", "-3"]));
/// ```
pub fn numbered_suffixes() -> impl Iterator<Item = String> + Clone {
    (2..=u64::MAX).map(|number| format!("-{number}"))
}

/// Returns suffixes like "-k3x9", with `length` characters after the dash, for
/// [`claim_unique`](super::Claims::claim_unique).
///
/// The characters are digits and small letters without i, l, o and u. There are 32 to the power of `length` suffixes.
/// While far fewer of them are in use, two or three tries are enough. They are not secret: they can be guessed.
///
/// # Panics
///
/// With a length of zero.
///
/// # Examples
///
/// ```
/// let suffix = latchwork::claim::random_suffixes(4).next().expect("there is no end");
/// assert!(suffix.len() == 5 && suffix.starts_with('-'));
/// ```
pub fn random_suffixes(length: usize) -> impl Iterator<Item = String> + Clone {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    assert!(length > 0, "a suffix needs a character");
    let letter = || char::from(LETTERS[fastrand::usize(..LETTERS.len())]);
    iter::repeat_with(move || iter::once('-').chain(iter::repeat_with(letter).take(length)).collect())
}
