//! Several keys as one: sorted, without repetitions, all or nothing.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Deref;
use std::pin::Pin;
use std::task::Waker;
use std::vec;

use super::guard::KeyedHold;
use super::request::OneKey;
use super::table::{AsTable, Claim, Grant};
use crate::error::Busy;
use crate::key::IntoKey;
use crate::wait::{Acquire, End, Node, Request};

type Key<H> = <<H as Deref>::Target as AsTable>::Key;

/// Several keys that are held, until dropped. Behind [`KeyedManyGuard`](super::KeyedManyGuard) and
/// its owned form.
#[must_use = "the keys are released at once if their guard is not kept"]
pub struct KeyedManyHold<H: Deref<Target: AsTable>> {
    holds: Vec<KeyedHold<H>>,
}

impl<H: Deref<Target: AsTable>> KeyedManyHold<H> {
    /// The guards of the single keys, in the keys' order.
    pub fn iter(&self) -> impl Iterator<Item = &KeyedHold<H>> {
        self.holds.iter()
    }

    /// How many keys are held: each one once, however often it was named.
    #[must_use]
    pub fn len(&self) -> usize {
        self.holds.len()
    }

    /// Whether no key was named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// The guards one by one, to be released at different times.
    ///
    /// # Examples
    ///
    /// ```
    /// let locks = latchwork::KeyedLock::<u32>::new();
    /// let mut guards = locks.lock_many([1, 2]).wait().into_guards();
    /// drop(guards.remove(0));
    /// assert!(!locks.is_locked(1) && locks.is_locked(2));
    /// ```
    #[must_use = "the keys are released at once if their guards are not kept"]
    pub fn into_guards(self) -> Vec<KeyedHold<H>> {
        self.holds
    }
}

/// A request for several keys: one after the other in their order, so that two of them never wait
/// for each other.
pub(super) struct ManyKeys<H: Deref<Target: AsTable>> {
    handle: H,
    keys: vec::IntoIter<Key<H>>,
    claim: Claim,
    current: Option<OneKey<H, Key<H>>>,
    holds: Vec<KeyedHold<H>>,
    is_over: bool,
}

impl<H> ManyKeys<H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash + Ord, Hasher: BuildHasher>> + Clone,
    Key<H>: IntoKey<Key<H>>,
{
    pub(super) fn acquire<Q: IntoKey<Key<H>>>(
        handle: H,
        keys: impl IntoIterator<Item = Q>,
        claim: Claim,
    ) -> Acquire<Self> {
        let keys = sorted(keys);
        let holds = Vec::with_capacity(keys.len());
        Acquire::new(Self { handle, keys: keys.into_iter(), claim, current: None, holds, is_over: false })
    }

    pub(super) fn attempt<Q: IntoKey<Key<H>>>(
        handle: &H,
        keys: impl IntoIterator<Item = Q>,
        claim: Claim,
    ) -> Result<KeyedManyHold<H>, Busy> {
        let keys = sorted(keys).into_iter();
        let holds = keys.map(|key| OneKey::attempt(handle.clone(), key, claim)).collect::<Result<_, _>>()?;
        Ok(KeyedManyHold { holds })
    }

    /// Makes the next key the current one, if there is none; `false` when all are held.
    fn advance(&mut self) -> bool {
        if self.current.is_none() {
            self.current = self.keys.next().map(|key| OneKey::new(self.handle.clone(), key, self.claim));
        }
        self.current.is_some()
    }

    /// Adds the current key's guard to those held.
    fn keep(&mut self, grant: Grant<Key<H>>) {
        if let Some(mut current) = self.current.take() {
            // Should the key's drop panic, this request has come to its end without it.
            self.is_over = true;
            self.holds.push(current.guard(grant));
            self.is_over = false;
        }
    }
}

impl<H> Request for ManyKeys<H>
where
    H: Deref<Target: AsTable<Key: Eq + Hash + Ord, Hasher: BuildHasher>> + Clone,
    Key<H>: IntoKey<Key<H>>,
{
    type Guard = KeyedManyHold<H>;
    type Grant = KeyedManyHold<H>;

    fn take(&mut self) -> Option<KeyedManyHold<H>> {
        assert!(!self.is_over, "an Acquire is not polled again after it was ready or panicked");
        while self.advance() {
            let grant = self.current.as_mut().and_then(Request::take)?;
            self.keep(grant);
        }
        self.is_over = true;
        Some(KeyedManyHold { holds: std::mem::take(&mut self.holds) })
    }

    fn step(&mut self, mut node: Pin<&mut Node>, task: &Waker) -> Option<KeyedManyHold<H>> {
        loop {
            if let Some(current) = &mut self.current {
                let grant = current.step(node.as_mut(), task)?;
                self.keep(grant);
            }
            if let Some(holds) = self.take() {
                return Some(holds);
            }
        }
    }

    fn guard(&mut self, holds: KeyedManyHold<H>) -> KeyedManyHold<H> {
        holds
    }

    fn leave(&mut self, node: Pin<&mut Node>, end: End) {
        if let Some(current) = &mut self.current {
            current.leave(node, end);
        }
    }
}

fn sorted<K: Ord, Q: IntoKey<K>>(keys: impl IntoIterator<Item = Q>) -> Vec<K> {
    let mut keys: Vec<K> = keys.into_iter().map(IntoKey::into_key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

impl<H: Deref<Target: AsTable>> fmt::Debug for ManyKeys<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyKeys").field("held", &self.holds.len()).finish_non_exhaustive()
    }
}

impl<H: Deref<Target: AsTable>> fmt::Debug for KeyedManyHold<H>
where
    Key<H>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.holds).finish()
    }
}
