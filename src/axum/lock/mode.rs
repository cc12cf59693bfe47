//! [`Mode`]: whether a layer locks, only looks, or does nothing; switched while it runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What a layer does about locks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Nothing: requests go through as if it were not there.
    Off,
    /// It takes keys as if it enforced, but holds nobody up: every request goes through at once, and what would
    /// have been refused is counted and reported.
    Observe,
    /// It locks.
    #[default]
    Enforce,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Off, Self::Observe, Self::Enforce];
}

/// A [`Mode`] that can be changed while requests are served, for all who have a clone of it.
///
/// A request is treated by the mode that it was called in, to its end. So after a change from
/// [`Enforce`](Mode::Enforce) those who wait go on waiting, and those who come pass.
///
/// # Examples
///
/// ```
/// use latchwork::axum::{Mode, ModeSwitch};
///
/// let switch = ModeSwitch::new(Mode::Observe);
/// let another = switch.clone();
/// another.set(Mode::Enforce);
/// assert_eq!(switch.get(), Mode::Enforce);
/// ```
#[derive(Clone)]
pub struct ModeSwitch(Arc<AtomicU8>);

impl ModeSwitch {
    /// A switch that stands at `mode`.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self(Arc::new(AtomicU8::new(mode as u8)))
    }

    /// Where it stands.
    #[must_use]
    pub fn get(&self) -> Mode {
        Mode::ALL[usize::from(self.0.load(Ordering::Relaxed))]
    }

    /// Changes it, for requests to come.
    pub fn set(&self, mode: Mode) {
        self.0.store(mode as u8, Ordering::Relaxed);
    }
}

impl Default for ModeSwitch {
    fn default() -> Self {
        Self::new(Mode::default())
    }
}

impl From<Mode> for ModeSwitch {
    fn from(mode: Mode) -> Self {
        Self::new(mode)
    }
}

impl From<&Self> for ModeSwitch {
    fn from(switch: &Self) -> Self {
        switch.clone()
    }
}

impl fmt::Debug for ModeSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ModeSwitch").field(&self.get()).finish()
    }
}
