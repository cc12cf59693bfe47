//! [`Setup`]: what a layer and its services know.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::request::{Common, Credentials};
use super::stored::{Limits, Stored};
use crate::flight::SingleFlight;

/// The key, and what else the requests of one flight have in common.
pub(super) type Full<K> = (K, Common);

/// An answer for all; `None` if each request must call the service itself.
pub(super) type Flights<K> = SingleFlight<Full<K>, Option<Arc<Stored>>>;

pub(super) struct Setup<K, F> {
    pub(super) flights: Flights<K>,
    pub(super) key: F,
    pub(super) limits: Limits,
    pub(super) credentials: Credentials,
    pub(super) shares_failures: bool,
    /// How long a call may take that runs in a task of its own.
    pub(super) detached_for: Option<Duration>,
}

impl<K: Eq + Hash, F> Setup<K, F> {
    pub(super) fn new(key: F) -> Self {
        Self {
            flights: SingleFlight::new(),
            key,
            limits: Limits { max_body: 1024 * 1024, read_timeout: None },
            credentials: Credentials::Alone,
            shares_failures: false,
            detached_for: None,
        }
    }
}

impl<K, F: Clone> Clone for Setup<K, F> {
    fn clone(&self) -> Self {
        Self { flights: self.flights.clone(), key: self.key.clone(), ..*self }
    }
}

impl<K, F> fmt::Debug for Setup<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceLayer")
            .field("flights", &self.flights)
            .field("limits", &self.limits)
            .field("credentials", &self.credentials)
            .field("shares_failures", &self.shares_failures)
            .field("detached_for", &self.detached_for)
            .finish_non_exhaustive()
    }
}
