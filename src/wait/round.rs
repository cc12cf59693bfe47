//! [`Round`]: the time of the waiting core, counted in rounds of the [helper](super::helper).
//!
//! No lock path reads a clock. A round stands still while no line is crowded, and is late when the machine is
//! busy. Both are right: it measures how long a waiter had time to come.

/// A moment, in rounds that wrap: small enough for each waiter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Round(u16);

impl Round {
    pub(crate) const START: Self = Self(0);

    #[cfg(not(latchwork_loom))]
    pub(crate) fn from_number(number: u16) -> Self {
        Self(number)
    }

    /// How many rounds lie between `self` and `now`. A model has no time: as many as there can be.
    pub(crate) fn until(self, now: Self) -> u16 {
        if cfg!(latchwork_loom) { u16::MAX } else { now.0.wrapping_sub(self.0) }
    }
}
