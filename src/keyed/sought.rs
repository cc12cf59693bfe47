//! A key as a request asks for it, and what the request asks of it.

use std::hash::{BuildHasher, Hash};
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::key::{Form, IntoKey};

/// A key that a request asks for. It becomes an owned key when it must be stored.
pub(super) struct Sought<K, Q> {
    hash: u32,
    form: Form<K, Q>,
}

/// What a request asks of each of its keys, and the times of its wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) permits: usize,
    /// Its wait was counted before, for another key.
    pub(super) has_waited: bool,
    pub(super) caller: &'static Location<'static>,
    /// When the wait began and when the attempt did, if the table tracks times.
    pub(super) queued_at: Option<Instant>,
    pub(super) now: Option<Instant>,
}

impl Terms {
    #[inline]
    #[track_caller]
    pub(super) fn new(permits: usize) -> Self {
        Self { permits, has_waited: false, caller: Location::caller(), queued_at: None, now: None }
    }

    /// Returns the duration of the wait, if it is known.
    #[inline]
    pub(super) fn waited(&self) -> Option<Duration> {
        Some(self.now? - self.queued_at?)
    }
}

impl<K: Eq + Hash, Q: IntoKey<K>> Sought<K, Q> {
    /// Hashes the key, once and outside every lock.
    #[inline(always)]
    pub(super) fn new(key: Q, hasher: &impl BuildHasher) -> Self {
        let form = Form::new(key);
        let hash = form.hash(hasher);
        // An entry with the hash zero is a free one.
        Self { hash: ((hash >> 32) as u32).max(1), form }
    }

    #[inline]
    pub(super) fn is_key(&self, key: &K) -> bool {
        self.form.is_key(key)
    }
}

impl<K, Q: IntoKey<K>> Sought<K, Q> {
    /// Returns the half of the hash that entries keep: it chooses the shard, and finds the entry there. Never zero.
    #[inline(always)]
    pub(super) fn hash(&self) -> u32 {
        self.hash
    }

    /// Returns the key to store, or `None` if it must be [made](Self::make_owned) first.
    #[inline(always)]
    pub(super) fn take_owned(&mut self) -> Option<K> {
        self.form.take_owned()
    }

    /// Makes the key to store. That is user code, so no lock may be held.
    pub(super) fn make_owned(&mut self) {
        self.form.make_owned();
    }

    /// Returns the key, if it was not stored.
    #[cfg(feature = "tracing")]
    pub(super) fn take_key(&mut self) -> Option<K> {
        match std::mem::replace(&mut self.form, Form::Stored) {
            Form::Borrowed(key) => Some(key.into_key()),
            Form::Owned(key) => Some(key),
            Form::Stored => None,
        }
    }

    /// Drops the key, if it was not stored.
    #[inline]
    pub(super) fn forget(&mut self) {
        self.form = Form::Stored;
    }
}
