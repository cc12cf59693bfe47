//! [`Stamp`]: the number of a version.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use thiserror::Error;

use crate::digits::{self, BadNumber};

/// The version of a value: every write gives it a greater one.
///
/// A client that read version 7 sends the 7 back with its change, and is refused if the value was changed since. Only
/// order and equality have a meaning; gaps are normal. Stamps go from 1 to `i64::MAX`, so they fit into a signed column of
/// a database. A stamp says nothing about the holder of a lock: that is what a [`Fence`](crate::Fence) is for.
///
/// # Examples
///
/// ```
/// use latchwork::Stamp;
///
/// let stamp: Stamp = "7".parse()?;
/// assert_eq!((stamp.get(), stamp.to_string()), (7, "7".to_owned()));
/// assert!("07".parse::<Stamp>().is_err());
/// # Ok::<(), latchwork::stamp::ParseStampError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stamp(NonZeroU64);

impl Stamp {
    /// The first stamp, 1.
    pub const MIN: Self = Self(NonZeroU64::MIN);

    /// The last stamp, `i64::MAX`.
    pub const MAX: Self = Self(NonZeroU64::new(i64::MAX.cast_unsigned()).expect("it is not zero"));

    /// Creates the stamp with this number; `None` for zero and for numbers above `i64::MAX`.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::Stamp;
    ///
    /// assert_eq!(Stamp::new(7).map(Stamp::get), Some(7));
    /// assert_eq!((Stamp::new(0), Stamp::new(u64::MAX)), (None, None));
    /// ```
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) if number.get() <= Self::MAX.get() => Some(Self(number)),
            _ => None,
        }
    }

    /// Returns the number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Returns the number as a signed integer, the type of a `BIGINT` column.
    #[must_use]
    pub const fn as_i64(self) -> i64 {
        self.0.get().cast_signed()
    }

    /// Returns the stamp after this one.
    pub(crate) fn next(self) -> Option<Self> {
        Self::new(self.get() + 1)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text is not a [`Stamp`].
///
/// # Examples
///
/// ```
/// use latchwork::{Stamp, error::BadNumber};
///
/// let error = "-7".parse::<Stamp>().unwrap_err();
/// assert_eq!(error.why, BadNumber::Sign);
/// assert_eq!(error.to_string(), "not a stamp: it has a sign");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("not a stamp: {why}")]
#[non_exhaustive]
pub struct ParseStampError {
    /// What is wrong with it.
    pub why: BadNumber,
}

/// Accepts exactly what [`Display`](fmt::Display) writes.
impl FromStr for Stamp {
    type Err = ParseStampError;

    fn from_str(text: &str) -> Result<Self, ParseStampError> {
        let number = digits::parse(text, Self::MAX.get()).map_err(|why| ParseStampError { why })?;
        Ok(Self::new(number).expect("the parser keeps the limits"))
    }
}

/// A number is out of the range of a [`Stamp`].
///
/// # Examples
///
/// ```
/// let error = latchwork::Stamp::try_from(0_i64).unwrap_err();
/// assert_eq!(error.to_string(), "stamps go from 1 to 9223372036854775807");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("stamps go from 1 to {}", Stamp::MAX)]
#[non_exhaustive]
pub struct StampOutOfRange;

/// For a `BIGINT` column, as [`Stamp::as_i64`].
impl From<Stamp> for i64 {
    fn from(stamp: Stamp) -> Self {
        stamp.as_i64()
    }
}

impl From<Stamp> for u64 {
    fn from(stamp: Stamp) -> Self {
        stamp.get()
    }
}

impl TryFrom<u64> for Stamp {
    type Error = StampOutOfRange;

    fn try_from(number: u64) -> Result<Self, StampOutOfRange> {
        Self::new(number).ok_or(StampOutOfRange)
    }
}

/// For the value of a `BIGINT` column.
impl TryFrom<i64> for Stamp {
    type Error = StampOutOfRange;

    fn try_from(number: i64) -> Result<Self, StampOutOfRange> {
        u64::try_from(number).ok().and_then(Self::new).ok_or(StampOutOfRange)
    }
}
