//! [`Schedule`]: which keys are due at which time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::batch::KeyBytes;

/// At most one time for each key, in the order of these times.
#[derive(Default, Debug)]
pub(super) struct Schedule {
    times: BTreeMap<KeyBytes, Instant>,
    order: BTreeSet<(Instant, KeyBytes)>,
}

impl Schedule {
    /// Sets the key's time, or removes the key.
    pub(super) fn set(&mut self, key: &KeyBytes, at: Option<Instant>) {
        if self.times.get(key).copied() == at {
            return;
        }
        if let Some(old) = self.times.remove(key) {
            self.order.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.times.insert(key.clone(), at);
            self.order.insert((at, key.clone()));
        }
    }

    /// The earliest time.
    pub(super) fn first(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// The keys whose time is `last` or earlier, the earliest first, and not more than `most`.
    pub(super) fn until(&self, last: Instant, most: usize) -> Vec<KeyBytes> {
        self.order.iter().take(most).take_while(|(at, _)| *at <= last).map(|(_, key)| key.clone()).collect()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty() && self.order.is_empty()
    }
}
