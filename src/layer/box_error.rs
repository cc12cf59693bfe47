//! [`BoxError`]: the errors of bodies.

use std::error::Error;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;
