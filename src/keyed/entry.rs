//! The entry of one key, and the pointer by which guards, waiters and views find it again.
//!
//! An entry has a fixed address while it is in use, and two kinds of fields. `hash` and `key` are written before the
//! entry is published. Whatever keeps it in use may read them, without a lock. All others are read and written
//! under the shard's lock only, so plain cells are enough.
//!
//! An entry is in use while permits are held, waiters are enlisted or views pin it. The last of them takes it out of
//! use, under the shard's lock. So the pointer of a guard, an enlisted waiter or a view is always valid.

#![allow(unsafe_code)]

use std::cell::{Cell, OnceCell, UnsafeCell};
use std::fmt;
use std::mem::MaybeUninit;
use std::panic::{Location, RefUnwindSafe};
use std::ptr::NonNull;
use std::sync::Arc;
#[cfg(feature = "tracing")]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::error::Busy;
use crate::fence::Fence;
use crate::sync::Mutex;
use crate::wait::{Line, Pool, Wakes, Word};

/// One key in use, or a place that is free for the shard's next key.
pub(super) struct Entry<K> {
    pub(super) word: Cell<Word>,
    /// The fence of the latest grant.
    fence: Cell<u64>,
    /// The [kept](super::sought::Sought::hash) part of the key's hash; zero while the entry is free.
    hash: Cell<u32>,
    /// Waiters, views, grants of no permits and unfinished wake-ups. Each keeps an entry that no guard holds.
    pins: Cell<u32>,
    /// Created when a caller waits for the first time, and kept for the next key of this entry. The helper may look at
    /// it when no waiter is left.
    line: OnceCell<Arc<Mutex<Line>>>,
    /// The fence once more, for the reports of long waits. Created with the first wait that may be reported, and kept.
    #[cfg(feature = "tracing")]
    followed: OnceCell<Arc<AtomicU64>>,
    holder: Cell<Option<Box<Holder>>>,
    key: UnsafeCell<MaybeUninit<K>>,
}

// SAFETY: the cells are used under the shard's lock, on any thread. `hash` and `key` do not change while the entry is
// in use. The last user drops the key, on any thread.
unsafe impl<K: Send + Sync> Sync for Entry<K> {}

// Like the table that it is a part of.
impl<K: RefUnwindSafe> RefUnwindSafe for Entry<K> {}

impl<K> Entry<K> {
    pub(super) const fn empty() -> Self {
        Self {
            word: Cell::new(Word::free(0)),
            fence: Cell::new(0),
            hash: Cell::new(0),
            pins: Cell::new(0),
            line: OnceCell::new(),
            #[cfg(feature = "tracing")]
            followed: OnceCell::new(),
            holder: Cell::new(None),
            key: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Returns the kept part of the key's hash, or zero if the entry is free.
    #[inline(always)]
    pub(super) fn hash(&self) -> u32 {
        self.hash.get()
    }

    /// Puts a free entry into use.
    ///
    /// # Safety
    ///
    /// The entry is free. The caller holds the shard's lock.
    #[inline(always)]
    pub(super) unsafe fn occupy(&self, hash: u32, key: K, word: Word) {
        self.hash.set(hash);
        self.set_fence(0);
        self.word.set(word);
        // SAFETY: nothing reads the key of a free entry.
        unsafe { &mut *self.key.get() }.write(key);
    }

    /// Takes the entry out of use, and returns its key.
    ///
    /// # Safety
    ///
    /// The entry is in use, but no permits are held and no pins are left. The caller holds the shard's lock.
    #[inline(always)]
    pub(super) unsafe fn vacate(&self) -> K {
        self.hash.set(0);
        // SAFETY: nothing reads the key any more.
        let key = unsafe { &*self.key.get() };
        // SAFETY: an entry in use has its key, and from now on it is not in use.
        unsafe { key.assume_init_read() }
    }

    /// Returns the fence of the latest grant, or zero if there was none.
    #[inline]
    pub(super) fn fence(&self) -> u64 {
        self.fence.get()
    }

    #[inline(always)]
    pub(super) fn set_fence(&self, fence: u64) {
        self.fence.set(fence);
        #[cfg(feature = "tracing")]
        if let Some(followed) = self.followed.get() {
            followed.store(fence, Ordering::Relaxed);
        }
    }

    /// Does something with the line. Everything in `wakes` is for after the shard's lock.
    pub(super) fn with_line<R>(
        &self,
        total: usize,
        wakes: &mut Wakes,
        act: impl FnOnce(&mut Line, &Permits<'_>, &mut Wakes) -> R,
    ) -> R {
        let shared = self.line.get_or_init(|| Arc::new(Mutex::new(Line::new())));
        let mut line = shared.lock();
        let outcome = act(&mut line, &Permits { word: &self.word, total }, wakes);
        if line.begin_watch() {
            wakes.call_helper(shared.clone());
        }
        outcome
    }

    /// Keeps the entry in use. A forgotten guard keeps it for ever, so safe code can count to the largest number. A
    /// count that wraps would free an entry that others still use.
    #[inline]
    pub(super) fn pin(&self) {
        match self.pins.get().checked_add(1) {
            Some(pins) => self.pins.set(pins),
            None => std::process::abort(),
        }
    }

    #[inline]
    pub(super) fn unpin(&self) {
        self.pins.set(self.pins.get() - 1);
    }

    #[inline]
    pub(super) fn is_pinned(&self) -> bool {
        self.pins.get() != 0
    }

    /// Returns the number of waiters.
    pub(super) fn waiters(&self) -> usize {
        self.line.get().map_or(0, |line| line.lock().len())
    }

    /// Returns `true` if at least this number of requests wait. To count them takes the line's lock, which a request
    /// without a bound is spared.
    pub(super) fn has_waiters(&self, number: usize) -> bool {
        number < usize::MAX && self.waiters() >= number
    }

    /// Returns the error of an acquisition that the key's holders or waiters refuse.
    pub(super) fn busy(&self) -> Busy {
        Busy::new(self.waiters(), Fence::new(self.fence()))
    }

    /// Notes the latest grant. The box is made once, and kept for the next ones.
    pub(super) fn set_holder(&self, holder: Holder) {
        let noted = match self.holder.take() {
            Some(mut noted) => {
                *noted = holder;
                noted
            }
            None => Box::new(holder),
        };
        self.holder.set(Some(noted));
    }

    /// Returns what is known of the latest grant.
    pub(super) fn holder(&self) -> Option<Holder> {
        let noted = self.holder.take();
        let holder = noted.as_deref().copied();
        self.holder.set(noted);
        holder
    }
}

/// What can be read of an entry without the shard's lock, also when the table is gone.
#[cfg(feature = "tracing")]
pub(super) struct Followed {
    pub(super) line: Arc<Mutex<Line>>,
    /// The fence of the latest grant, or zero if there was none.
    pub(super) fence: Arc<AtomicU64>,
}

#[cfg(feature = "tracing")]
impl<K> Entry<K> {
    /// Returns what a report of a long wait reads.
    pub(super) fn follow(&self) -> Followed {
        let line = self.line.get_or_init(|| Arc::new(Mutex::new(Line::new())));
        let fence = self.followed.get_or_init(|| Arc::new(AtomicU64::new(self.fence())));
        Followed { line: line.clone(), fence: fence.clone() }
    }
}

/// The permits of one key, whose shard's lock is held.
pub(super) struct Permits<'a> {
    word: &'a Cell<Word>,
    total: usize,
}

impl Pool for Permits<'_> {
    fn word(&self) -> Word {
        self.word.get()
    }

    fn swap(&self, _: Word, next: Word) -> bool {
        self.word.set(next);
        true
    }

    fn total(&self) -> usize {
        self.total
    }
}

/// What a table that tracks times or callers knows of the latest grant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) since: Option<Instant>,
    pub(super) caller: Option<&'static Location<'static>>,
}

/// The address of an entry.
pub(super) struct EntryPtr<K>(NonNull<Entry<K>>);

// SAFETY: as for `Entry`: a pointer lets its owner do what a reference to the entry does.
unsafe impl<K: Send + Sync> Send for EntryPtr<K> {}
// SAFETY: as above.
unsafe impl<K: Send + Sync> Sync for EntryPtr<K> {}

impl<K> Clone for EntryPtr<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for EntryPtr<K> {}

impl<K> PartialEq for EntryPtr<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K> fmt::Debug for EntryPtr<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K> EntryPtr<K> {
    /// Returns the address of the slot beside a shard's lock.
    pub(super) fn slot(entry: &Entry<K>) -> Self {
        Self(NonNull::from(entry))
    }

    /// Creates a free entry in a box of its own.
    pub(super) fn boxed() -> Self {
        Self(NonNull::from(Box::leak(Box::new(Entry::empty()))))
    }

    /// Frees an entry that [`boxed`](Self::boxed) created.
    ///
    /// # Safety
    ///
    /// The entry is not in use, its key was taken, and no copy of the pointer is used again.
    pub(super) unsafe fn free(self) {
        // SAFETY: made by `Box`, and freed once, as the caller promises.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }

    /// Returns the entry.
    ///
    /// # Safety
    ///
    /// The caller holds the lock of the entry's shard for `'a`. Or it keeps the entry in use for `'a`, and reads its hash
    /// alone.
    #[inline(always)]
    pub(super) unsafe fn get<'a>(self) -> &'a Entry<K> {
        // SAFETY: an entry lives as long as its table, or until `free`.
        unsafe { self.0.as_ref() }
    }

    /// Returns the key.
    ///
    /// # Safety
    ///
    /// The entry is in use for `'a`.
    #[inline]
    pub(super) unsafe fn key<'a>(self) -> &'a K
    where
        K: 'a,
    {
        // SAFETY: only the key is read.
        let entry: &'a Entry<K> = unsafe { self.get() };
        // SAFETY: nothing writes the key while the entry is in use.
        let key = unsafe { &*entry.key.get() };
        // SAFETY: an entry in use has its key.
        unsafe { key.assume_init_ref() }
    }
}
