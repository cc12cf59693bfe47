//! The two services that are compared, and what they have in common.

use std::time::Duration;

use latchwork::mode::{Mode, ModeSwitch};

/// How many connections the pool has at most.
pub(crate) const CONNECTIONS: u32 = 6;

/// How long a request waits for a connection.
pub(crate) const QUEUE: Duration = Duration::from_secs(2);

/// Which handlers a service has.
#[derive(Clone)]
pub(crate) enum Side {
    /// They take connections, begin, and give connections back, by hand.
    Naive,
    /// They use a scope, which has this mode.
    Guarded(ModeSwitch),
}

impl Side {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Guarded(_) => "guarded",
        }
    }

    /// Returns how a request that comes now is served, for the audit.
    pub(crate) fn phase(&self) -> Phase {
        match self {
            Self::Naive => Phase::Naive,
            Self::Guarded(mode) => match mode.get() {
                Mode::Off => Phase::Off,
                Mode::Observe => Phase::Observe,
                _ => Phase::Enforce,
            },
        }
    }
}

/// A part of the comparison.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Phase {
    Naive,
    Off,
    Observe,
    Enforce,
}

impl Phase {
    pub(crate) const ALL: [Self; 4] = [Self::Naive, Self::Off, Self::Observe, Self::Enforce];

    /// Returns the name in the table, in the JSON output and in the journal.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }

    /// Returns the mode of the scope; a service without one has none.
    pub(crate) const fn mode(self) -> Option<Mode> {
        match self {
            Self::Naive => None,
            Self::Off => Some(Mode::Off),
            Self::Observe => Some(Mode::Observe),
            Self::Enforce => Some(Mode::Enforce),
        }
    }
}
