//! What a scope counts: [`ScopeStats`], live, and [`ScopeCounts`], a snapshot. [`Watch`] counts one transaction.

use std::array;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::panicking;
use std::time::{Duration, Instant};

use super::events;
use crate::mode::Mode;
use crate::user_code::in_destructor;

/// How a transaction ended.
///
/// # Examples
///
/// ```
/// use latchwork::sql::Ending;
///
/// assert_eq!(Ending::Abandoned.name(), "abandoned");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// The database has committed.
    Committed,
    /// Rolled back by [`Tx::rollback`](super::Tx::rollback).
    RolledBack,
    /// Rolled back, since the closure of [`Scope::run`](super::Scope::run) returned an error.
    Failed,
    /// Rolled back, since it was dropped before its end: by `?`, or with the future that held it.
    Abandoned,
    /// Rolled back, since the code that held it panicked.
    Panicked,
    /// The database refused to commit, and has rolled back.
    CommitRefused,
    /// The connection was lost, or the runtime was shut down, before the database had answered: committed or not.
    CommitUnknown,
}

impl Ending {
    /// Every ending.
    pub const ALL: &'static [Self] = &[
        Self::Committed,
        Self::RolledBack,
        Self::Failed,
        Self::Abandoned,
        Self::Panicked,
        Self::CommitRefused,
        Self::CommitUnknown,
    ];

    /// Returns `true` if the transaction was rolled back.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::sql::Ending;
    ///
    /// assert!(Ending::Failed.is_rolled_back() && !Ending::CommitUnknown.is_rolled_back());
    /// ```
    #[must_use]
    pub const fn is_rolled_back(self) -> bool {
        match self {
            Self::RolledBack | Self::Failed | Self::Abandoned | Self::Panicked | Self::CommitRefused => true,
            Self::Committed | Self::CommitUnknown => false,
        }
    }

    /// Returns the name in metrics and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
            Self::Panicked => "panicked",
            Self::CommitRefused => "commit_refused",
            Self::CommitUnknown => "commit_unknown",
        }
    }
}

#[derive(Default)]
struct Counters {
    opened: AtomicU64,
    not_opened: AtomicU64,
    cancelled: AtomicU64,
    repeated: AtomicU64,
    off: AtomicU64,
    would_repeat: AtomicU64,
    ended: [AtomicU64; Ending::ALL.len()],
    would_end: [AtomicU64; Ending::ALL.len()],
}

/// The live counters of a [`Scope`](super::Scope). All clones of the scope share them.
///
/// # Examples
///
/// ```
/// use latchwork::sql::{Ending, ScopeStats};
///
/// let stats = ScopeStats::default();
/// assert_eq!((stats.counts().open(), stats.counts().ended(Ending::Committed)), (0, 0));
/// ```
#[derive(Clone, Default)]
pub struct ScopeStats(Arc<Counters>);

impl ScopeStats {
    /// Returns a snapshot. The counters are read one after the other, while transactions go on.
    #[must_use]
    pub fn counts(&self) -> ScopeCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // The endings first: each of them began before.
        let ended = array::from_fn(|at| self.0.ended[at].load(Ordering::Acquire));
        ScopeCounts {
            opened: read(&self.0.opened),
            not_opened: read(&self.0.not_opened),
            cancelled: read(&self.0.cancelled),
            repeated: read(&self.0.repeated),
            off: read(&self.0.off),
            would_repeat: read(&self.0.would_repeat),
            ended,
            would_end: array::from_fn(|at| read(&self.0.would_end[at])),
        }
    }

    pub(super) fn repeat(&self) {
        Self::add(&self.0.repeated);
    }

    pub(super) fn would_repeat(&self) {
        Self::add(&self.0.would_repeat);
    }

    fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for ScopeStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopeStats").field(&self.counts()).finish()
    }
}

/// A snapshot of [`ScopeStats`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ScopeCounts {
    /// How many transactions were opened.
    pub opened: u64,
    /// How many could not be opened: no connection became free, or the database refused.
    pub not_opened: u64,
    /// How many calls were dropped while they waited for a connection, or for the answer to BEGIN. In the second case a
    /// task rolls back.
    pub cancelled: u64,
    /// How often a whole transaction was made again.
    pub repeated: u64,
    /// How many connections were given out without a transaction, in the mode [`Off`](Mode::Off).
    pub off: u64,
    /// How often an observed call would have been made again, in the mode [`Observe`](Mode::Observe).
    pub would_repeat: u64,
    ended: [u64; Ending::ALL.len()],
    would_end: [u64; Ending::ALL.len()],
}

impl ScopeCounts {
    /// Returns how many transactions ended in this way.
    #[must_use]
    pub const fn ended(&self, ending: Ending) -> u64 {
        self.ended[ending as usize]
    }

    /// Returns how many observed transactions would have ended in this way, in the mode [`Observe`](Mode::Observe).
    #[must_use]
    pub const fn would_end(&self, ending: Ending) -> u64 {
        self.would_end[ending as usize]
    }

    /// Returns how many transactions were rolled back, in all ways together.
    #[must_use]
    pub fn rolled_back(&self) -> u64 {
        sum_of_rolled_back(|ending| self.ended(ending))
    }

    /// Returns how many observed transactions would have been rolled back.
    #[must_use]
    pub fn would_roll_back(&self) -> u64 {
        sum_of_rolled_back(|ending| self.would_end(ending))
    }

    /// Returns how many transactions are open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.opened - self.ended.iter().sum::<u64>()
    }
}

fn sum_of_rolled_back(count: impl Fn(Ending) -> u64) -> u64 {
    Ending::ALL.iter().filter(|ending| ending.is_rolled_back()).map(|ending| count(*ending)).sum()
}

/// Counts an opening that is dropped before its answer.
pub(super) struct OpeningWatch<'a> {
    stats: &'a ScopeStats,
    name: &'static str,
    mode: Mode,
    is_pending: bool,
}

impl<'a> OpeningWatch<'a> {
    pub(super) fn new(stats: &'a ScopeStats, name: &'static str, mode: Mode) -> Self {
        Self { stats, name, mode, is_pending: true }
    }

    pub(super) fn opened(mut self) -> Watch {
        self.is_pending = false;
        let Self { stats, name, mode, .. } = self;
        match mode {
            Mode::Off => ScopeStats::add(&stats.0.off),
            Mode::Observe => {}
            Mode::Enforce => ScopeStats::add(&stats.0.opened),
        }
        // Made before the event: a subscriber that panics leaves no transaction that is open for ever.
        let watch =
            Watch { stats: stats.clone(), name, mode, since: Instant::now(), ending: Ending::Abandoned };
        if mode == Mode::Enforce {
            events::opened(name);
        }
        watch
    }

    pub(super) fn failed(mut self, error: &sqlx::Error) {
        self.is_pending = false;
        ScopeStats::add(&self.stats.0.not_opened);
        events::not_opened(self.name, error);
    }
}

impl Drop for OpeningWatch<'_> {
    fn drop(&mut self) {
        if self.is_pending {
            ScopeStats::add(&self.stats.0.cancelled);
        }
    }
}

/// Counts an open transaction when it ends.
pub(super) struct Watch {
    stats: ScopeStats,
    name: &'static str,
    mode: Mode,
    since: Instant,
    /// What it counts as if it is dropped now.
    ending: Ending,
}

impl Watch {
    pub(super) fn set(&mut self, ending: Ending) {
        self.ending = ending;
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn open_for(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.ending == Ending::Abandoned && panicking() {
            self.ending = Ending::Panicked;
        }
        let at = self.ending as usize;
        match self.mode {
            Mode::Off => {}
            Mode::Observe => {
                ScopeStats::add(&self.stats.0.would_end[at]);
                in_destructor(|| events::would_end(self.name, self.ending, self.open_for()));
            }
            Mode::Enforce => {
                // Released, so that a snapshot that sees the ending sees the opening too.
                self.stats.0.ended[at].fetch_add(1, Ordering::Release);
                in_destructor(|| events::ended(self.name, self.ending, self.open_for()));
            }
        }
    }
}
