//! [`Versioned`]: one value and its version.

use std::fmt;
use std::mem::replace;
use std::num::NonZeroUsize;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use super::attempt::{self, Change, Missed, UNTIL_DONE, always, at_most, unshared};
use super::conflict::{Conflict, Exhausted, WriteError};
use super::expect::Expect;
use super::news::finish;
use super::snapshot::Snapshot;
use crate::stamp::Stamp;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::wait::Watch;

/// A value that is replaced as a whole, with a stamp that every write changes.
///
/// Readers take a [`snapshot`](Self::snapshot) and never wait for a writer's closure. Writers say which version they
/// started from. A write that started from a stale version is refused: no update is lost.
///
/// # Examples
///
/// ```
/// use latchwork::Versioned;
///
/// let card = Versioned::new("Ada".to_owned());
/// let (first_tab, second_tab) = (card.stamp(), card.stamp());
/// card.update(first_tab, |name| format!("{name} Lovelace"))?;
/// let error = card.update(second_tab, |name| format!("Countess {name}")).unwrap_err();
/// let conflict = error.conflict().expect("the first tab was faster");
/// assert_eq!(conflict.current.as_deref().map(String::as_str), Some("Ada Lovelace"));
/// # Ok::<(), latchwork::versioned::WriteError<String>>(())
/// ```
pub struct Versioned<T> {
    /// The stamp of `state.current`, to be read without the lock. Stored while the lock is held.
    stamp: AtomicU64,
    pub(super) state: Mutex<State<T>>,
}

pub(super) struct State<T> {
    pub(super) current: Snapshot<T>,
    /// The watch of the waiters for the end of the current version.
    pub(super) watch: Option<Arc<Watch>>,
}

/// A panic leaves a whole value and its stamp: values are replaced as a whole, and no code of the user runs under the lock.
impl<T: RefUnwindSafe> UnwindSafe for Versioned<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Versioned<T> {}

impl<T> Versioned<T> {
    /// Creates a value with the first stamp, 1.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self::starting_at(value, Stamp::MIN)
    }

    /// Creates a value with a stamp of its own: the one that it had before a restart, or has in a database.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Stamp, Versioned, stamp::StampSource};
    ///
    /// let fresh = StampSource::from_clock().next()?;
    /// assert!(Versioned::starting_at("Ada", fresh).stamp() > Stamp::MIN);
    /// # Ok::<(), latchwork::stamp::StampsExhausted>(())
    /// ```
    #[must_use]
    pub fn starting_at(value: T, stamp: Stamp) -> Self {
        let current = Snapshot::new(Arc::new(value), stamp);
        Self { stamp: AtomicU64::new(stamp.get()), state: Mutex::new(State { current, watch: None }) }
    }

    /// Returns the value and its stamp. Never waits for a closure.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = latchwork::Versioned::new(7);
    /// let before = cell.snapshot();
    /// cell.modify(|n| n + 1)?;
    /// assert_eq!((*before, *cell.snapshot()), (7, 8));
    /// # Ok::<(), latchwork::stamp::StampsExhausted>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<T> {
        self.state.lock().current.clone()
    }

    /// Returns the stamp, with one atomic load. A caller that sees it also sees everything that the writer did before
    /// the write.
    #[inline]
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "only stamps are stored")]
    pub fn stamp(&self) -> Stamp {
        Stamp::new(self.stamp.load(Ordering::Acquire)).expect("only stamps are stored")
    }

    /// Returns `true` if `stamp` is that of the value, with one atomic load.
    ///
    /// # Examples
    ///
    /// ```
    /// let rates = latchwork::Versioned::new([1.0, 0.9]);
    /// let cached = rates.stamp();
    /// rates.modify(|_| [1.0, 0.8])?;
    /// assert!(!rates.is_current(cached));
    /// # Ok::<(), latchwork::stamp::StampsExhausted>(())
    /// ```
    #[inline]
    #[must_use]
    pub fn is_current(&self, stamp: Stamp) -> bool {
        self.stamp.load(Ordering::Acquire) == stamp.get()
    }

    /// Stores `value` if the current version is as expected.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] with the current version and `value`; [`WriteError::Exhausted`].
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Versioned, versioned::Expect};
    ///
    /// let price = Versioned::new(10);
    /// let dearer = price.compare_and_set(price.stamp(), 11)?;
    /// price.compare_and_set(Expect::Any, 12)?;
    /// assert!(price.compare_and_set(dearer.stamp(), 9).is_err());
    /// # Ok::<(), latchwork::versioned::WriteError<i32>>(())
    /// ```
    pub fn compare_and_set(&self, expect: impl Into<Expect>, value: T) -> Result<Snapshot<T>, WriteError<T>> {
        let expect = expect.into();
        self.swap(|found| expect.admits(Some(found.stamp())), Arc::new(value)).map_err(
            |missed| match missed {
                Missed::Moved { current, value } => {
                    Conflict::new(expect, current, Arc::into_inner(value)).into()
                }
                Missed::Exhausted(value) => Exhausted::new(unshared(value)).into(),
            },
        )
    }

    /// Replaces the value by what `f` returns for it, if the current version is as expected.
    ///
    /// `f` runs on a snapshot, outside every lock: it may take long, use this cell, or panic, which changes nothing. If
    /// another caller writes meanwhile, `f` is called again with the new value, provided that it is as expected, too. So
    /// for one exact stamp `f` is called at most once, and never if the stamp is stale at the start.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] with the current version and what `f` returned; [`WriteError::Exhausted`].
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::Versioned;
    ///
    /// let stock = Versioned::new(3);
    /// let after = stock.update(stock.stamp(), |left| left - 1)?;
    /// assert_eq!((*after, after.stamp().get()), (2, 2));
    /// # Ok::<(), latchwork::versioned::WriteError<i32>>(())
    /// ```
    pub fn update(
        &self,
        expect: impl Into<Expect>,
        f: impl FnMut(&T) -> T,
    ) -> Result<Snapshot<T>, WriteError<T>> {
        self.try_update(expect, always(f))
    }

    /// Replaces the value as [`update`](Self::update) does, with a closure that may refuse, or keep the value as it is.
    ///
    /// # Errors
    ///
    /// Those of [`update`](Self::update), and [`WriteError::Refused`] with the closure's error.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Versioned, versioned::{Change, WriteError}};
    ///
    /// let stock = Versioned::new(1_u32);
    /// let sell = |left: &u32| left.checked_sub(1).map(Change::Set).ok_or("sold out");
    /// assert_eq!(*stock.try_update(stock.stamp(), sell)?, 0);
    /// assert!(matches!(stock.try_update(stock.stamp(), sell), Err(WriteError::Refused("sold out"))));
    /// # Ok::<(), WriteError<u32, &str>>(())
    /// ```
    pub fn try_update<E>(
        &self,
        expect: impl Into<Expect>,
        f: impl FnMut(&T) -> Result<Change<T>, E>,
    ) -> Result<Snapshot<T>, WriteError<T, E>> {
        self.write(expect.into(), UNTIL_DONE, f)
    }

    /// Replaces the value by what `f` returns for it, whatever its version. `f` is called again if another caller writes
    /// meanwhile.
    ///
    /// # Fairness
    ///
    /// Not fair: the first call that stores wins. If others always write while `f` runs, this never returns. If `f` is slow
    /// and other writers are quick, bound it with [`modify_up_to`](Self::modify_up_to), or let all writers take a
    /// [`Mutex`](crate::Mutex) first.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] with what `f` returned, if no stamp is left.
    ///
    /// # Examples
    ///
    /// ```
    /// let visits = latchwork::Versioned::new(0);
    /// std::thread::scope(|s| (0..2).for_each(|_| { s.spawn(|| visits.modify(|n| n + 1)); }));
    /// assert_eq!(*visits.snapshot(), 2);
    /// ```
    pub fn modify(&self, f: impl FnMut(&T) -> T) -> Result<Snapshot<T>, Exhausted<T>> {
        match self.update(Expect::Any, f) {
            Ok(snapshot) => Ok(snapshot),
            Err(WriteError::Exhausted(exhausted)) => Err(exhausted),
            Err(WriteError::Conflict(_)) => unreachable!("a cell has a value, and any will do"),
            Err(WriteError::Crowded(_)) => unreachable!("there is no bound"),
            Err(WriteError::Refused(never)) => match never {},
        }
    }

    /// Replaces the value as [`modify`](Self::modify) does, but calls `f` at most `max` times.
    ///
    /// # Errors
    ///
    /// [`WriteError::Crowded`] if another caller wrote during each of the calls. It has the current version, what `f`
    /// returned last, and the stamp that this was computed from. [`WriteError::Exhausted`].
    ///
    /// # Panics
    ///
    /// If the number is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// let visits = latchwork::Versioned::new(0);
    /// let crowded = visits.modify_up_to(3, |n| {
    ///     visits.modify(|n| n + 10).expect("stamps are left");   // a rival that is faster
    ///     n + 1
    /// });
    /// let conflict = crowded.unwrap_err().into_conflict().expect("the rival wrote three times");
    /// assert_eq!((conflict.rejected, conflict.current.as_deref()), (Some(21), Some(&30)));
    /// ```
    pub fn modify_up_to(&self, max: usize, f: impl FnMut(&T) -> T) -> Result<Snapshot<T>, WriteError<T>> {
        self.write(Expect::Any, at_most(max), always(f))
    }

    /// Replaces the value as [`modify`](Self::modify) does, with a closure that may refuse, or keep the value as it is.
    /// To bound the calls, the closure may count them and refuse after some.
    ///
    /// # Errors
    ///
    /// [`WriteError::Refused`] with the closure's error; [`WriteError::Exhausted`]; never a conflict.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::{Versioned, versioned::Change};
    ///
    /// let tags = Versioned::new(vec!["new"]);
    /// let add = |tags: &Vec<_>| Ok::<_, ()>(if tags.len() < 2 { Change::Set(vec!["a", "b"]) } else { Change::Keep });
    /// assert!(tags.try_modify(add).is_ok_and(|tags| tags.stamp().get() == 2));
    /// assert!(tags.try_modify(add).is_ok_and(|tags| tags.stamp().get() == 2));
    /// ```
    pub fn try_modify<E>(
        &self,
        f: impl FnMut(&T) -> Result<Change<T>, E>,
    ) -> Result<Snapshot<T>, WriteError<T, E>> {
        self.try_update(Expect::Any, f)
    }

    /// Returns the value itself.
    #[must_use]
    pub fn into_arc(self) -> Arc<T> {
        self.state.into_inner().current.into_arc()
    }

    /// Runs the loop of every write by closure.
    fn write<E>(
        &self,
        expect: Expect,
        max: NonZeroUsize,
        f: impl FnMut(&T) -> Result<Change<T>, E>,
    ) -> Result<Snapshot<T>, WriteError<T, E>> {
        attempt::write(expect, max, Some(self.snapshot()), f, |seen, value| {
            self.swap(|found| found.is(seen), value)
        })
    }

    /// Stores `value` if `will_do` accepts the current version.
    fn swap(
        &self,
        will_do: impl FnOnce(&Snapshot<T>) -> bool,
        value: Arc<T>,
    ) -> Result<Snapshot<T>, Missed<T>> {
        let mut state = self.state.lock();
        if !will_do(&state.current) {
            return Err(Missed::Moved { current: Some(state.current.clone()), value });
        }
        let Some(stamp) = state.current.stamp().next() else {
            return Err(Missed::Exhausted(value));
        };
        let stored = Snapshot::new(value, stamp);
        let old = replace(&mut state.current, stored.clone());
        let watch = state.watch.take();
        self.stamp.store(stamp.get(), Ordering::Release);
        drop(state);
        finish(old, watch);
        Ok(stored)
    }
}

impl<T: Default> Default for Versioned<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Versioned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.snapshot();
        f.debug_struct("Versioned").field("value", &*current).field("stamp", &current.stamp()).finish()
    }
}
