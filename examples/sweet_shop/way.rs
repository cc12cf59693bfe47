//! The ways to sell: as people write it first, and four ways that hold under load.

use clap::ValueEnum;
use serde::Serialize;

/// How the handlers keep two purchases of one sweet apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// Not at all: read, compare, write.
    Naive,
    /// The naive handlers behind a lock for each sweet.
    Lock,
    /// A transaction that locks the row before it reads it.
    ForUpdate,
    /// One statement that compares and writes.
    Atomic,
    /// A write on condition of the version that was read, again after a conflict, and alone after several.
    Optimistic,
}

impl Way {
    pub(crate) const ALL: [Self; 5] =
        [Self::Naive, Self::Lock, Self::ForUpdate, Self::Atomic, Self::Optimistic];

    /// The rule of a shop fits into one condition, so the database can check it while it writes. Nothing is held while
    /// another service is asked, nothing is retried, and several processes can sell.
    pub(crate) const RECOMMENDED: Self = Self::Atomic;

    /// Returns the name in the table, in the JSON output and in the names of files and schemas.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Lock => "lock",
            Self::ForUpdate => "for_update",
            Self::Atomic => "atomic",
            Self::Optimistic => "optimistic",
        }
    }
}
