//! The entry of one key, and the pointer by which guards, waiters and views find it again.
//!
//! An entry has a fixed address while it is in use, and two parts: `key` is written before the entry
//! is published and read by anybody who keeps it in use; `state` is opened by who holds the shard's
//! lock. It is in use while permits are held, waiters are enlisted or views pin it; the last of
//! them to go takes it out under that lock. So a pointer kept by a guard, an enlisted waiter or a view
//! is always good.

#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::MaybeUninit;
use std::panic::{Location, RefUnwindSafe};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Instant;

use crate::sync::Mutex;
use crate::wait::{Line, Pool, Wakes, Word};

/// What the shard's lock guards of an entry.
pub(super) struct State {
    pub(super) word: Cell<Word>,
    /// The fence of the latest grant.
    pub(super) fence: u64,
    /// The part of the hash by which the shard finds the entry; zero in an empty slot.
    pub(super) hash: u32,
    /// Waiters, views, grants of no permits and unfinished wake-ups: each keeps the entry although nobody holds it.
    pub(super) pins: u32,
    /// Made when somebody has to wait for the first time, and kept for the next key that has this entry. The helper
    /// may look at it when nobody waits any more.
    pub(super) line: Option<Arc<Mutex<Line>>>,
    pub(super) holder: Option<Box<Holder>>,
}

impl State {
    /// Does something with the line. Everything in `wakes` is for after the shard's lock.
    pub(super) fn with_line<R>(
        &mut self,
        total: usize,
        wakes: &mut Wakes,
        act: impl FnOnce(&mut Line, &Permits<'_>, &mut Wakes) -> R,
    ) -> R {
        let shared = self.line.get_or_insert_with(|| Arc::new(Mutex::new(Line::new())));
        let mut line = shared.lock();
        let outcome = act(&mut line, &Permits { word: &self.word, total }, wakes);
        if line.begin_watch() {
            wakes.call_helper(shared.clone());
        }
        outcome
    }

    /// Keeps the entry in use. A forgotten guard keeps it for ever, so safe code can count to the largest number. To
    /// wrap there would free the entry under the others.
    #[inline]
    pub(super) fn pin(&mut self) {
        match self.pins.checked_add(1) {
            Some(pins) => self.pins = pins,
            None => std::process::abort(),
        }
    }

    /// How many wait.
    pub(super) fn waiters(&self) -> usize {
        self.line.as_ref().map_or(0, |line| line.lock().len())
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

/// Of the latest grant, where the table tracks it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    pub(super) since: Option<Instant>,
    pub(super) caller: Option<&'static Location<'static>>,
}

pub(super) struct Entry<K> {
    state: UnsafeCell<State>,
    key: UnsafeCell<MaybeUninit<K>>,
}

// SAFETY: `state` is opened under the shard's lock, on any thread; `key` is shared by all that keep
// the entry, and dropped by the last of them, on any thread.
unsafe impl<K: Send + Sync> Sync for Entry<K> {}

// Like the table that it is a part of.
impl<K: RefUnwindSafe> RefUnwindSafe for Entry<K> {}

impl<K> Entry<K> {
    pub(super) const fn empty() -> Self {
        Self {
            state: UnsafeCell::new(State {
                word: Cell::new(Word::free(0)),
                fence: 0,
                hash: 0,
                pins: 0,
                line: None,
                holder: None,
            }),
            key: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }
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
    /// The slot beside a shard's lock.
    pub(super) fn slot(entry: &Entry<K>) -> Self {
        Self(NonNull::from(entry))
    }

    /// An entry of its own.
    pub(super) fn boxed() -> Self {
        Self(NonNull::from(Box::leak(Box::new(Entry::empty()))))
    }

    /// Frees an entry that [`boxed`](Self::boxed) made.
    ///
    /// # Safety
    ///
    /// It is out of use, its key was taken, and no copy of the pointer is used again.
    pub(super) unsafe fn free(self) {
        // SAFETY: made by `Box`, and freed once, as the caller promises.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }

    /// The state.
    ///
    /// # Safety
    ///
    /// The caller holds the lock of the entry's shard for `'a` and opens no entry twice at a time;
    /// the entry is in use, or free for the shard to use.
    #[inline]
    pub(super) unsafe fn state<'a>(self) -> &'a mut State
    where
        K: 'a,
    {
        // SAFETY: entries live as long as their table, or until `free`.
        let entry: &'a Entry<K> = unsafe { self.0.as_ref() };
        // SAFETY: exclusive by the shard's lock.
        unsafe { &mut *entry.state.get() }
    }

    /// The key.
    ///
    /// # Safety
    ///
    /// The entry is in use for `'a`.
    #[inline]
    pub(super) unsafe fn key<'a>(self) -> &'a K {
        // SAFETY: as above.
        let entry: &'a Entry<K> = unsafe { self.0.as_ref() };
        // SAFETY: nobody writes the key while the entry is in use.
        let key = unsafe { &*entry.key.get() };
        // SAFETY: an entry in use has its key.
        unsafe { key.assume_init_ref() }
    }

    /// Puts the key in.
    ///
    /// # Safety
    ///
    /// The caller holds the shard's lock, and the entry is not in use.
    #[inline]
    pub(super) unsafe fn put_key(self, key: K) {
        // SAFETY: as above.
        let entry = unsafe { self.0.as_ref() };
        // SAFETY: nobody reads the key of an entry that is not in use.
        unsafe { &mut *entry.key.get() }.write(key);
    }

    /// Takes the key out.
    ///
    /// # Safety
    ///
    /// The caller holds the shard's lock, and the entry has just gone out of use with its key inside.
    #[inline]
    pub(super) unsafe fn take_key(self) -> K {
        // SAFETY: as above.
        let entry = unsafe { self.0.as_ref() };
        // SAFETY: nobody reads the key of an entry that is not in use.
        let key = unsafe { &*entry.key.get() };
        // SAFETY: it is inside, and is taken once.
        unsafe { key.assume_init_read() }
    }
}
