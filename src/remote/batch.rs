//! [`Batch`]: what is asked of the database in one message. [`Answers`]: what it answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// A key as the database knows it, with its namespace.
pub(crate) type KeyBytes = Arc<[u8]>;

/// A grant of a key, by its number. Numbers of later grants of the key are greater.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Held {
    pub(crate) key: KeyBytes,
    pub(crate) fence: u64,
}

/// A key to take, if it is free.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Take {
    pub(crate) key: KeyBytes,
    /// The request waits. So the holder of the key learns that another process wants it.
    pub(crate) waits: bool,
}

/// What is asked in one message. Each key occurs at most once.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Batch {
    pub(crate) take: Vec<Take>,
    /// Grants whose key goes to the next request of this process, under a new number.
    pub(crate) pass: Vec<Held>,
    pub(crate) renew: Vec<Held>,
    pub(crate) release: Vec<Held>,
}

impl Batch {
    /// The number of its keys.
    pub(crate) fn size(&self) -> usize {
        self.take.len() + self.pass.len() + self.renew.len() + self.release.len()
    }
}

/// What the database has answered to a whole [`Batch`]. A grant of the batch that is in none of the lists is gone.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Answers {
    /// Keys that were taken or passed, with their new numbers.
    pub(crate) granted: Vec<Grant>,
    /// Keys that others hold. Also keys of takes and passes whose row another transaction has locked at this moment; a grant
    /// whose pass is busy is still held.
    pub(crate) busy: Vec<Busy>,
    pub(crate) renewed: Vec<Grant>,
    pub(crate) released: Vec<Held>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Grant {
    pub(crate) held: Held,
    /// Another process waits for the key.
    pub(crate) is_wanted: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Busy {
    pub(crate) key: KeyBytes,
    /// How long the lease of its holder lasts, by the clock of the database. A whole lease if nothing is known.
    pub(crate) rest: Duration,
}

/// When a lease ends that was asked for at this time. The database counts from a later time, so its lease ends later.
pub(crate) fn deadline(asked: Instant, lease: Duration) -> Instant {
    asked + lease
}
