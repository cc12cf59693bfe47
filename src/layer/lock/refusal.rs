//! Why a request is refused, and how that is answered.

use super::outcome::Outcome;
use crate::provider::LockError;
use crate::web::Problem;

/// Why a request is refused.
pub(super) enum Refusal {
    Lock(LockError),
    Overloaded,
    BadKey(Problem),
}

impl Refusal {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Lock(LockError::Busy(_)) => Outcome::Busy,
            Self::Lock(LockError::TimedOut(_)) => Outcome::TimedOut,
            Self::Lock(LockError::QueueFull) => Outcome::QueueFull,
            Self::Lock(LockError::BadKey(_)) => Outcome::BadKey,
            Self::Lock(LockError::Lost) => Outcome::Lost,
            Self::Lock(LockError::Unavailable(_)) => Outcome::Unavailable,
            Self::Overloaded => Outcome::Overloaded,
            Self::BadKey(_) => Outcome::BadKey,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Lock(error) => error.into(),
            Refusal::Overloaded => Self::overloaded(),
            Refusal::BadKey(problem) => problem,
        }
    }
}
