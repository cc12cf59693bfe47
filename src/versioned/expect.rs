//! [`Expect`]: the version that a write expects.

use std::fmt;

use crate::stamp::Stamp;

/// The version that a write expects. If it finds another one, it is refused with a [`Conflict`](crate::Conflict).
///
/// # Examples
///
/// ```
/// use latchwork::{Stamp, versioned::Expect};
///
/// let [six, seven] = [6, 7].map(|number| Stamp::new(number).expect("it is in range"));
/// let expect = Expect::from(seven);
/// assert!(expect.admits(Some(seven)) && !expect.admits(Some(six)) && !expect.admits(None));
/// assert_eq!(expect.to_string(), "stamp 7");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Expect {
    /// Any value, or none.
    Any,
    /// No value.
    Absent,
    /// A value with any stamp.
    Present,
    /// The value with this stamp.
    Exact(Stamp),
    /// A value with one of these stamps.
    OneOf(Box<[Stamp]>),
    /// No value, or one with another stamp than these.
    NoneOf(Box<[Stamp]>),
}

impl Expect {
    /// Returns `true` if it accepts what was found: the stamp of a value, or `None` for no value.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, versioned::Expect};
    ///
    /// assert!(Expect::Present.admits(Some(Stamp::MIN)));
    /// assert!(!Expect::Present.admits(None));
    /// ```
    #[must_use]
    pub fn admits(&self, found: Option<Stamp>) -> bool {
        match (self, found) {
            (Self::Any, _) | (Self::Absent | Self::NoneOf(_), None) | (Self::Present, Some(_)) => true,
            (Self::Exact(stamp), Some(found)) => *stamp == found,
            (Self::OneOf(stamps), Some(found)) => stamps.contains(&found),
            (Self::NoneOf(stamps), Some(found)) => !stamps.contains(&found),
            (Self::Absent, Some(_)) | (Self::Present | Self::Exact(_) | Self::OneOf(_), None) => false,
        }
    }
}

impl From<Stamp> for Expect {
    fn from(stamp: Stamp) -> Self {
        Self::Exact(stamp)
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Absent => f.write_str("no value"),
            Self::Present => f.write_str("a value"),
            Self::Exact(stamp) => write!(f, "stamp {stamp}"),
            Self::OneOf(stamps) => write_list(f, "one", stamps),
            Self::NoneOf(stamps) => write_list(f, "none", stamps),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, how_many: &str, stamps: &[Stamp]) -> fmt::Result {
    write!(f, "{how_many} of the stamps [")?;
    for (at, stamp) in stamps.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(f, "{comma}{stamp}")?;
    }
    f.write_str("]")
}
