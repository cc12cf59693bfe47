//! The names that are taken, divided among small locks.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::shards::{Entries, Shards, Slot, default_count};
use crate::sync::Mutex;

/// The number of spare boxes that a shard keeps.
const SPARES: usize = 8;

/// The names that are taken. A clone is another handle to them.
///
/// Under a shard's lock no user code runs but `Eq`. Names are hashed before, and cloned and dropped after. While a shard
/// grows, the others can be used.
pub(super) struct Names<K>(Shards<Mutex<Inside<K>>>);

/// `Eq` of names is the only user code under a shard's lock, and it runs before anything changes.
impl<K: RefUnwindSafe> UnwindSafe for Names<K> {}
impl<K: RefUnwindSafe> RefUnwindSafe for Names<K> {}

/// The names whose hash falls into one shard.
struct Inside<K> {
    entries: Entries<Entry<K>>,
    /// Empty boxes, so that a steady load allocates none.
    spares: Vec<Arc<Lent<K>>>,
}

/// A name that is taken.
enum Entry<K> {
    /// A guard lives. With `is_kept` the name stays taken after it.
    Claimed {
        lent: Arc<Lent<K>>,
        is_kept: bool,
    },
    Kept(K),
}

/// A box for a name that the table and its guard share; empty while it is spare.
pub(super) struct Lent<K>(Option<K>);

impl<K> Lent<K> {
    pub(super) fn name(&self) -> &K {
        self.0.as_ref().expect("a name is lent for as long as its claim lives")
    }
}

impl<K> Entry<K> {
    fn name(&self) -> &K {
        match self {
            Self::Claimed { lent, .. } => lent.name(),
            Self::Kept(name) => name,
        }
    }

    fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_) | Self::Claimed { is_kept: true, .. })
    }

    /// Returns `true` if it is the entry of the guard that has `own`. So no user code runs when a guard finds its entry.
    fn is_lent(&self, own: &Arc<Lent<K>>) -> bool {
        matches!(self, Self::Claimed { lent, .. } if Arc::ptr_eq(lent, own))
    }
}

impl<K> Clone for Names<K> {
    #[inline]
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K> Names<K> {
    pub(super) fn new() -> Self {
        let shard = || Mutex::new(Inside { entries: Entries::new(), spares: Vec::new() });
        Self(Shards::new(default_count(), shard))
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.lock().entries.len()).sum()
    }

    pub(super) fn contains(&self, hash: u64, is_name: impl Fn(&K) -> bool) -> bool {
        self.0.of(hash).lock().entries.find(hash, |entry| is_name(entry.name())).is_some()
    }

    /// Ends a claim. Its name is kept if `keep` says so or if it was kept before, otherwise it is free.
    pub(super) fn end(&self, hash: u64, mut lent: Arc<Lent<K>>, keep: bool) {
        let mut shard = self.0.of(hash).lock();
        let Inside { entries, spares } = &mut *shard;
        let found =
            entries.found(hash, |entry| entry.is_lent(&lent)).expect("a claimed name is in the table");
        let keep = keep || found.get().is_kept();
        // The guard has the box, too: so this drops no name, and the guard's is the only one then.
        drop(found.remove());
        let name = Arc::get_mut(&mut lent).and_then(|lent| lent.0.take()).expect("nobody else has the name");
        if spares.len() < SPARES {
            spares.push(lent);
        }
        if keep {
            entries.insert(hash, Entry::Kept(name));
            return;
        }
        // A name's drop is user code.
        drop(shard);
        drop(name);
    }

    /// Frees a name that is kept and not claimed. Returns `true` if it did.
    pub(super) fn release(&self, hash: u64, is_name: impl Fn(&K) -> bool) -> bool {
        let mut shard = self.0.of(hash).lock();
        let Some(found) = shard.entries.found(hash, |entry| is_name(entry.name())) else { return false };
        if matches!(found.get(), Entry::Claimed { .. }) {
            return false;
        }
        let entry = found.remove();
        // A name's drop is user code.
        drop(shard);
        drop(entry);
        true
    }
}

impl<K: Eq> Names<K> {
    /// Claims a free name. Returns a taken one, with `true` if it is kept.
    pub(super) fn claim(&self, hash: u64, name: K) -> Result<Arc<Lent<K>>, (K, bool)> {
        let mut shard = self.0.of(hash).lock();
        let Inside { entries, spares } = &mut *shard;
        match entries.slot(hash, |entry| *entry.name() == name) {
            Slot::Found(found) => Err((name, found.get().is_kept())),
            Slot::Free(free) => {
                let lent = lend(spares, name);
                free.insert(Entry::Claimed { lent: lent.clone(), is_kept: false });
                Ok(lent)
            }
        }
    }

    /// Keeps a name, claimed or not. Returns `true` if it was free.
    pub(super) fn keep(&self, hash: u64, name: K) -> bool {
        // A name that is not stored is dropped after the lock is released: parameters outlive locals.
        let mut shard = self.0.of(hash).lock();
        match shard.entries.slot(hash, |entry| *entry.name() == name) {
            Slot::Found(found) => {
                if let Entry::Claimed { is_kept, .. } = found.into_mut() {
                    *is_kept = true;
                }
                false
            }
            Slot::Free(free) => {
                free.insert(Entry::Kept(name));
                true
            }
        }
    }
}

/// Puts a name into a box, a spare one if there is one.
fn lend<K>(spares: &mut Vec<Arc<Lent<K>>>, name: K) -> Arc<Lent<K>> {
    let Some(mut spare) = spares.pop() else { return Arc::new(Lent(Some(name))) };
    *Arc::get_mut(&mut spare).expect("nobody else has a spare box") = Lent(Some(name));
    spare
}
