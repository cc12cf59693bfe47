//! [`Mode`]: whether a layer locks, only looks, or does nothing; switched while it runs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use ::axum::http::StatusCode;
use ::axum::response::{IntoResponse, Response};

use crate::web::Problem;

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

    /// Its name in configuration and messages.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::layer::Mode;
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

/// A text is not the name of a [`Mode`].
///
/// # Examples
///
/// ```
/// let error = "on".parse::<latchwork::layer::Mode>().unwrap_err();
/// assert_eq!(error.to_string(), "the modes are off, observe and enforce");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the modes are off, observe and enforce")]
#[non_exhaustive]
pub struct ParseModeError;

/// Reads what [`Display`](fmt::Display) writes, and nothing else.
impl FromStr for Mode {
    type Err = ParseModeError;

    fn from_str(text: &str) -> Result<Self, ParseModeError> {
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or(ParseModeError)
    }
}

/// 400, for services whose mode can be set by requests.
impl From<ParseModeError> for Problem {
    fn from(error: ParseModeError) -> Self {
        Self::new(StatusCode::BAD_REQUEST).with_detail(error.to_string())
    }
}

/// As a [`Problem`].
impl IntoResponse for ParseModeError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// A [`Mode`] that can be changed while requests are served, for all who have a clone of it.
///
/// A request is treated by the mode that it was called in, to its end. So after a change from
/// [`Enforce`](Mode::Enforce) those who wait go on waiting, and those who come pass.
///
/// # Examples
///
/// ```
/// use latchwork::layer::{Mode, ModeSwitch};
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
