//! [`Mode`]: whether a layer or a scope does its work, only observes, or does nothing. [`ModeSwitch`] changes it while
//! requests are served.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether a [layer](crate::layer) locks, or a scope of transactions scopes, only observes, or does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Requests pass as if the layer were not there. A scope gives out connections without a transaction.
    Off,
    /// Every request passes at once. The layer takes free keys as in `Enforce`, and counts and logs each request that
    /// would have waited or been refused. A scope does as in `Off`, and counts what it would have rolled back or repeated.
    Observe,
    /// Requests wait for their key, or are refused without it. A scope begins transactions.
    #[default]
    Enforce,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Off, Self::Observe, Self::Enforce];

    /// Returns the name in configuration and messages.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::mode::Mode;
    ///
    /// assert_eq!((Mode::Observe.name(), "observe".parse()), ("observe", Ok(Mode::Observe)));
    /// ```
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is not the name of a [`Mode`].
///
/// # Examples
///
/// ```
/// let error = "on".parse::<latchwork::mode::Mode>().unwrap_err();
/// assert_eq!(error.to_string(), "the mode must be off, observe or enforce");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the mode must be off, observe or enforce")]
#[non_exhaustive]
pub struct ParseModeError;

/// Reads the names that [`name`](Mode::name) returns, and nothing else.
impl FromStr for Mode {
    type Err = ParseModeError;

    fn from_str(text: &str) -> Result<Self, ParseModeError> {
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or(ParseModeError)
    }
}

/// A [`Mode`] that can be changed while requests are served. It is a handle: clones share the mode.
///
/// A request keeps the mode in which it arrived. Switching away from [`Enforce`](Mode::Enforce) affects new requests
/// only: waiting requests keep waiting.
///
/// # Examples
///
/// ```
/// use latchwork::mode::{Mode, ModeSwitch};
///
/// let switch = ModeSwitch::new(Mode::Observe);
/// let another = switch.clone();
/// another.set(Mode::Enforce);
/// assert_eq!(switch.get(), Mode::Enforce);
/// ```
#[derive(Clone)]
pub struct ModeSwitch(Arc<AtomicU8>);

impl ModeSwitch {
    /// Creates a switch with this mode.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        Self(Arc::new(AtomicU8::new(mode as u8)))
    }

    /// Returns the mode.
    #[must_use]
    pub fn get(&self) -> Mode {
        Mode::ALL[usize::from(self.0.load(Ordering::Relaxed))]
    }

    /// Sets the mode for new requests.
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
