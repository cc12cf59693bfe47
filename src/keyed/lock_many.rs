//! The methods of a [`KeyedLock`] that lock several keys as one.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use super::lock::KeyedLock;
use super::many::{KeyedManyHold, ManyKeys};
use super::sought::Terms;
use crate::error::Busy;
use crate::key::IntoKey;
use crate::wait::{Acquire, Attempt, MAX_PERMITS};

/// Several keys held in a [`KeyedLock`], until dropped.
pub type KeyedManyGuard<'a, K, S = RandomState> = KeyedManyHold<&'a KeyedLock<K, S>>;

/// A [`KeyedManyGuard`] that keeps its lock alive instead of borrowing it.
pub type OwnedKeyedManyGuard<K, S = RandomState> = KeyedManyHold<Arc<KeyedLock<K, S>>>;

/// The type that [`KeyedLock::lock_many`] returns.
pub type LockMany<'a, K, S = RandomState> = Acquire<ManyKeys<&'a KeyedLock<K, S>>>;

/// The type that [`KeyedLock::lock_many_owned`] returns.
pub type LockManyOwned<K, S = RandomState> = Acquire<ManyKeys<Arc<KeyedLock<K, S>>>>;

impl<K: Eq + Hash + Ord, S: BuildHasher> KeyedLock<K, S> {
    /// Acquires several keys for this caller alone: all of them or none. A key that is named twice is
    /// acquired once. The guards are in the order of the keys.
    ///
    /// It holds no key while it waits. If one of the keys is busy, it waits for that key. In the queues of the keys that were
    /// free it keeps a place. As it waits in several queues, there is no [`max_waiters`](Acquire::max_waiters) for it.
    ///
    /// # Fairness
    ///
    /// Each queue is served as [`Acquire`](Acquire#fairness) says. When its turn comes at one key while another is busy, the
    /// first one is reserved for it: newcomers queue, and `try_` calls are refused. A reservation ends after 16 rounds of the
    /// [helper](crate::helper), mostly 16 to 80 ms. It then still keeps its place in the queue.
    ///
    /// Short holds of single keys can't starve it. Long holds that follow each other without a pause can. If your keys are
    /// held like that, lock one key that stands for the whole set.
    ///
    /// # Cancel safety
    ///
    /// The same as for [`Acquire`]. One that is kept but never polled again holds no key. Others may
    /// have to wait until its reservations end.
    ///
    /// # Deadlock
    ///
    /// A caller that holds one of the keys already waits for ever. Two of these calls never wait for each other. A caller that
    /// holds one of the keys and waits for another with [`lock`](Self::lock) waits until the reservation ends.
    ///
    /// # Examples
    ///
    /// ```
    /// let accounts = latchwork::KeyedLock::<String>::new();
    /// let both = accounts.lock_many(["to", "from", "to"]).wait();
    /// assert_eq!(both.iter().map(|guard| guard.key().as_str()).collect::<Vec<_>>(), ["from", "to"]);
    /// ```
    #[track_caller]
    pub fn lock_many(&self, keys: impl IntoIterator<Item = impl IntoKey<K>>) -> LockMany<'_, K, S> {
        ManyKeys::new(self, keys, Terms::new(MAX_PERMITS)).acquire()
    }

    /// Acquires several keys as [`lock_many`](Self::lock_many) does, with a guard that keeps the lock alive.
    #[track_caller]
    pub fn lock_many_owned(
        self: &Arc<Self>,
        keys: impl IntoIterator<Item = impl IntoKey<K>>,
    ) -> LockManyOwned<K, S> {
        ManyKeys::new(self.clone(), keys, Terms::new(MAX_PERMITS)).acquire()
    }

    /// Acquires several keys if all of them are free, without waiting.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] about the first key that is held. No key is held by this call then.
    ///
    /// # Examples
    ///
    /// ```
    /// let accounts = latchwork::KeyedLock::<u32>::new();
    /// let second = accounts.try_lock(2)?;
    /// assert!(accounts.try_lock_many([1, 2]).is_err() && !accounts.is_locked(1));
    /// # drop(second);
    /// # Ok::<(), latchwork::Busy>(())
    /// ```
    #[track_caller]
    pub fn try_lock_many(
        &self,
        keys: impl IntoIterator<Item = impl IntoKey<K>>,
    ) -> Result<KeyedManyGuard<'_, K, S>, Busy> {
        ManyKeys::new(self, keys, Terms::new(MAX_PERMITS)).attempt()
    }

    /// Acquires several keys as [`try_lock_many`](Self::try_lock_many) does, with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// Returns [`Busy`] about the first key that is held. No key is held by this call then.
    #[track_caller]
    pub fn try_lock_many_owned(
        self: &Arc<Self>,
        keys: impl IntoIterator<Item = impl IntoKey<K>>,
    ) -> Result<OwnedKeyedManyGuard<K, S>, Busy> {
        ManyKeys::new(self.clone(), keys, Terms::new(MAX_PERMITS)).attempt()
    }
}
