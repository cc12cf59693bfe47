//! [`KeyedManyHold`]: the guard of several keys.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

use super::INLINE;
use crate::keyed::guard::KeyedHold;
use crate::keyed::table::AsTable;

/// Several keys that are held, until dropped. Behind [`KeyedManyGuard`](crate::keyed::KeyedManyGuard) and
/// its owned form.
#[must_use = "the keys are released at once if their guard is not kept"]
pub struct KeyedManyHold<H: Deref<Target: AsTable>> {
    pub(super) holds: SmallVec<[KeyedHold<H>; INLINE]>,
}

impl<H: Deref<Target: AsTable>> KeyedManyHold<H> {
    /// Returns the guards of the single keys, in the keys' order.
    pub fn iter(&self) -> impl Iterator<Item = &KeyedHold<H>> {
        self.holds.iter()
    }

    /// Returns how many keys are held. A key that was named twice counts once.
    #[must_use]
    pub fn len(&self) -> usize {
        self.holds.len()
    }

    /// Returns `true` if no key was named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }

    /// Returns the guards one by one, to be released at different times.
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
        self.holds.into_vec()
    }
}

impl<H: Deref<Target: AsTable>> fmt::Debug for KeyedManyHold<H>
where
    <H::Target as AsTable>::Key: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.holds).finish()
    }
}
