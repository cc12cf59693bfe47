//! Versions, claims and retries: writers, removers, followers and those who give up, all at once.

use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt;
use latchwork::{
    Claims, KeyedLock, RetryPolicy, Stamp, Versioned, VersionedMap,
    retry::{RetryError, VirtualClock},
    versioned::{Expect, Snapshot, WriteError},
};

use crate::watchdog::Post;

const KEYS: u8 = 3;
/// The key that is followed.
const FOLLOWED: u8 = 0;

/// What all share, and what must come of it.
#[derive(Default)]
pub(crate) struct Desk {
    map: VersionedMap<u8, u64>,
    /// How often one was added to each key, and what was removed with it.
    added: [AtomicU64; KEYS as usize],
    removed: [AtomicU64; KEYS as usize],
    row: Versioned<u64>,
    gate: Arc<KeyedLock<u8>>,
    stored: AtomicU64,
    names: Claims<u8>,
    is_named: [AtomicBool; KEYS as usize],
    is_over: AtomicBool,
}

impl Desk {
    /// Takes part for so many rounds, as a task.
    pub(crate) async fn work(self: Arc<Self>, rounds: usize, seed: u64, post: Post) {
        let mut rng = Rng::with_seed(seed);
        let policy = RetryPolicy::new().clock(VirtualClock::new());
        for _ in 0..rounds {
            let key = rng.u8(..KEYS);
            match rng.u8(..16) {
                0..8 => self.add(key),
                8 => self.remove(key),
                9 => self.give_up(key),
                10 => self.look(key).await,
                11..14 => self.name(key).await,
                _ => self.store(&policy).await,
            }
            post.goes_on();
        }
    }

    /// Sees every key's stamps rise until all is over, as a task.
    pub(crate) async fn follow(self: Arc<Self>, post: Post) {
        let mut known = Stamp::MIN;
        while let Continue(stamp) = self.next(known, self.map.changed(&FOLLOWED, known).await) {
            known = stamp;
            tokio::task::yield_now().await;
            post.goes_on();
        }
    }

    /// The same on a thread.
    pub(crate) fn follow_on_thread(&self, post: &Post) {
        let mut known = Stamp::MIN;
        while let Continue(stamp) = self.next(known, self.map.changed(&FOLLOWED, known).wait()) {
            known = stamp;
            std::thread::yield_now();
            post.goes_on();
        }
    }

    fn next(&self, known: Stamp, found: Option<Snapshot<u64>>) -> ControlFlow<(), Stamp> {
        match found {
            // The last write comes after this was set, and nobody waits past it.
            _ if self.is_over.load(Ordering::Acquire) => Break(()),
            None => Continue(known),
            Some(found) => {
                assert!(found.stamp() > known, "a stamp went back");
                Continue(found.stamp())
            }
        }
    }

    fn add(&self, key: u8) {
        match self.map.modify(&key, |number| number + 1) {
            Ok(_) => drop(self.added[usize::from(key)].fetch_add(1, Ordering::Relaxed)),
            // It was removed; it does not matter who of those who notice puts it back.
            Err(WriteError::Conflict(_)) => drop(self.map.insert_new(key, 0)),
            Err(error) => panic!("stamps are left: {error}"),
        }
    }

    fn remove(&self, key: u8) {
        if let Some(gone) = self.map.remove(&key, Expect::Any).expect("anything is expected") {
            self.removed[usize::from(key)].fetch_add(*gone, Ordering::Relaxed);
            assert!(self.map.update(&key, gone.stamp(), |number| number + 1).is_err(), "it came back");
        }
    }

    /// Waits for a change, and is dropped after one poll.
    fn give_up(&self, key: u8) {
        if let Some(stamp) = self.map.stamp(&key) {
            drop(self.map.changed(&key, stamp).now_or_never());
        }
    }

    async fn look(&self, key: u8) {
        if let Some(stamp) = self.map.stamp(&key) {
            // In time or not: what came has another stamp.
            if let Ok(Some(next)) = self.map.changed(&key, stamp).timeout(Duration::from_millis(1)).await {
                assert!(next.stamp() > stamp, "a stamp went back");
            }
        }
    }

    async fn name(&self, name: u8) {
        let Ok(claim) = self.names.try_claim(name) else { return };
        let is_named = &self.is_named[usize::from(name)];
        assert!(!is_named.swap(true, Ordering::Relaxed), "two have the name");
        tokio::task::yield_now().await;
        assert!(is_named.swap(false, Ordering::Relaxed), "two had the name");
        drop(claim);
    }

    async fn store(&self, policy: &RetryPolicy) {
        let change = policy.retry_on_conflict(
            async |_| Ok(self.row.snapshot()),
            |row: Snapshot<u64>| Ok((row.stamp(), *row + 1)),
            async |(stamp, number)| {
                tokio::task::yield_now().await;
                self.row.compare_and_set(stamp, number)
            },
        );
        let stored: Result<_, RetryError<_>> = change.escalate_after(2, &self.gate, FOLLOWED).run().await;
        stored.expect("alone, it can't lose");
        self.stored.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends the followers, all of whom must hear of it.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        let last = self.map.upsert(FOLLOWED, Expect::Any, u64::MAX);
        assert!(last.is_ok(), "stamps are left");
    }

    /// What the writers left behind, before the end.
    pub(crate) fn check(&self) {
        for key in 0..KEYS {
            let [added, removed] =
                [&self.added, &self.removed].map(|all| all[usize::from(key)].load(Ordering::Relaxed));
            let left = self.map.get(&key).map_or(0, |left| *left);
            assert_eq!(left + removed, added, "an addition to key {key} was lost");
        }
        assert_eq!(*self.row.snapshot(), self.stored.load(Ordering::Relaxed));
        assert!(self.gate.is_empty() && self.names.is_empty());
    }
}
