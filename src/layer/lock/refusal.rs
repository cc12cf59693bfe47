//! Why a request does not get its key, and how that is answered.

use super::outcome::Outcome;
use crate::provider::LockError;
use crate::web::Problem;

/// Why a request does not get its key.
pub(super) enum Refusal {
    Lock(LockError),
    BadKey(Problem),
}

impl Refusal {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Lock(LockError::Busy(_)) => Outcome::Busy,
            Self::Lock(LockError::TimedOut(_)) => Outcome::TimedOut,
            Self::Lock(LockError::QueueFull) => Outcome::QueueFull,
            Self::Lock(LockError::Lost) => Outcome::Lost,
            Self::Lock(LockError::Unavailable(_)) => Outcome::Unavailable,
            Self::BadKey(_) => Outcome::BadKey,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Lock(error) => error.into(),
            Refusal::BadKey(problem) => problem,
        }
    }
}
