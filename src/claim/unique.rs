//! Claims on the first name of several that is free.

use std::fmt::{self, Display, Write as _};
use std::iter;
use std::ops::Deref;

use thiserror::Error;

use super::guard::ClaimHold;
use super::{AsClaims, Hashes, claim};

/// A claim on a name that was free, and how many names were tried for it.
#[must_use = "the name is free again at once if its claim is not kept"]
#[non_exhaustive]
pub struct UniqueClaim<H: Deref<Target: AsClaims>> {
    /// The claim.
    pub claim: ClaimHold<H>,
    /// How many names were tried; 1 if the first was free.
    pub attempts: usize,
}

impl<H: Deref<Target: AsClaims>> fmt::Debug for UniqueClaim<H>
where
    <H::Target as AsClaims>::Name: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UniqueClaim")
            .field("name", self.claim.name())
            .field("attempts", &self.attempts)
            .finish()
    }
}

/// None of the names that were tried was free.
///
/// # Examples
///
/// ```
/// let slugs: latchwork::Claims = latchwork::Claims::new();
/// slugs.mark_taken("ada");
/// let error = slugs.claim_unique("ada", ["-2"], 1).unwrap_err();
/// assert_eq!(error.to_string(), "no free name, 1 tried");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("no free name, {attempts} tried")]
#[non_exhaustive]
pub struct ClaimExhausted {
    /// How many were tried.
    pub attempts: usize,
}

/// Claims the first candidate that is free.
pub(super) fn first<H, I>(holder: H, candidates: I, max: usize) -> Result<UniqueClaim<H>, ClaimExhausted>
where
    H: Deref<Target: Hashes> + Clone,
    I: IntoIterator<Item: Into<<H::Target as AsClaims>::Name>>,
{
    let mut attempts = 0;
    for candidate in candidates.into_iter().take(max) {
        attempts += 1;
        if let Ok(claim) = claim(holder.clone(), candidate.into()) {
            return Ok(UniqueClaim { claim, attempts });
        }
    }
    Err(ClaimExhausted { attempts })
}

/// `base`, and then `base` with each of the suffixes. They are put together in one buffer.
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

/// The suffixes "-2", "-3" and so on, for [`claim_unique`](super::Claims::claim_unique).
///
/// Names can be read and guessed. The n-th of the same name tries n times; see [`random_suffixes`].
///
/// # Examples
///
/// ```
/// assert!(latchwork::claim::numbered_suffixes().take(2).eq(["-2", "-3"]));
/// ```
pub fn numbered_suffixes() -> impl Iterator<Item = String> + Clone {
    (2..=u64::MAX).map(|number| format!("-{number}"))
}

/// The suffixes "-k3x9" and the like, with so many characters after the dash, for
/// [`claim_unique`](super::Claims::claim_unique).
///
/// Two or three tries suffice however many have the same name, as long as they are few beside the 32 to
/// the power of `length` that there are. The characters are digits and small letters without i, l, o and u. They are not
/// secret: whoever wants to can guess them.
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
