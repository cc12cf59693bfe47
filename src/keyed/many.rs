//! Several keys as one: sorted, without repetitions, all or nothing.

use std::fmt;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::pin::Pin;
use std::task::Waker;
use std::vec;

use super::guard::KeyedHold;
use super::key::IntoKey;
use super::request::OneKey;
use super::table::{AsTable, Claim};
use crate::error::Busy;
use crate::wait::{Acquire, End, Node, Request, Step, Steps};

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
    H: Deref<Target: AsTable<Key: Eq + Ord, Hasher: BuildHasher>> + Clone,
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

    fn keep(&mut self) {
        if let Some(mut held) = self.current.take() {
            self.holds.push(held.guard());
        }
    }
}

impl<H> Request for ManyKeys<H>
where
    H: Deref<Target: AsTable<Key: Eq + Ord, Hasher: BuildHasher>> + Clone,
    Key<H>: IntoKey<Key<H>>,
{
    type Guard = KeyedManyHold<H>;

    fn guard(&mut self) -> KeyedManyHold<H> {
        self.is_over = true;
        KeyedManyHold { holds: std::mem::take(&mut self.holds) }
    }
}

impl<H> Steps for ManyKeys<H>
where
    H: Deref<Target: AsTable<Key: Eq + Ord, Hasher: BuildHasher>> + Clone,
    Key<H>: IntoKey<Key<H>>,
{
    fn take(&mut self) -> bool {
        assert!(!self.is_over, "an Acquire is not polled again after it was ready");
        while self.advance() {
            if !self.current.as_mut().is_some_and(Steps::take) {
                return false;
            }
            self.keep();
        }
        true
    }

    fn step(&mut self, mut node: Pin<&mut Node>, task: &Waker) -> Step {
        while let Some(current) = &mut self.current {
            match current.step(node.as_mut(), task) {
                Step::Taken => self.keep(),
                waiting => return waiting,
            }
            if self.take() {
                break;
            }
        }
        Step::Taken
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
