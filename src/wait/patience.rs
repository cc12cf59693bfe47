//! How long others may go first: the one clock of the waiting core, read on slow paths only.

use std::time::Duration;

/// How long a line is overtaken, and how long a stand-in waits for those who were told, at most.
pub(crate) const PATIENCE: Duration = Duration::from_micros(512);

/// A moment, in ticks of 64 µs that wrap after 4 s: small enough for each key's entry. A wrap makes
/// an answer wrong in the patient direction once, which costs one overtaking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since(u16);

impl Since {
    pub(crate) const START: Self = Self(0);
}

#[cfg(not(latchwork_loom))]
impl Since {
    pub(crate) fn now() -> Self {
        use std::sync::LazyLock;
        use std::time::Instant;
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        // The cut to 16 bits is the wrap.
        Self((START.elapsed().as_micros() >> 6) as u16)
    }

    /// Whether [`PATIENCE`] has run out since then.
    pub(crate) fn is_over(self) -> bool {
        Self::now().0.wrapping_sub(self.0) > (PATIENCE.as_micros() >> 6) as u16
    }
}

/// A model has no clock: patience is always over, which is the choice that overtakes most.
#[cfg(latchwork_loom)]
impl Since {
    pub(crate) fn now() -> Self {
        Self(0)
    }

    pub(crate) fn is_over(self) -> bool {
        self.0 == 0
    }
}
