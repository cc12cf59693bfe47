//! [`Versioned`]: one value and its version.

use std::fmt;
use std::mem::replace;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::attempt::{self, Change, Missed, UNTIL_DONE, always, at_most};
use super::conflict::{Conflict, WriteError};
use super::expect::Expect;
use super::finish;
use super::snapshot::Snapshot;
use crate::error::TimedOut;
use crate::stamp::{Stamp, StampsExhausted};
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::wait::{Acquire, Acquisition, Look, Watch, Watched, Watching};

/// A value that is replaced as a whole, with a stamp that every write changes.
///
/// Readers take a [`snapshot`](Self::snapshot) and never wait for a writer's closure. Writers say which
/// version they started from, and a write that was made from a stale one is refused: no update is lost.
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
    /// The stamp of `state.current`, for those who want no more. Stored while the lock is held.
    stamp: AtomicU64,
    state: Mutex<State<T>>,
}

struct State<T> {
    current: Snapshot<T>,
    /// Of those who wait for the end of the current version.
    watch: Option<Arc<Watch>>,
}

impl<T> Versioned<T> {
    /// A value with the first stamp, 1.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(latchwork::Versioned::new(7).stamp().get(), 1);
    /// ```
    #[must_use]
    pub fn new(value: T) -> Self {
        Self::starting_at(value, Stamp::MIN)
    }

    /// A value with the stamp that it had in an earlier life, or in the database that it comes from.
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

    /// The value and its stamp. It never waits for a closure.
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

    /// The stamp: one atomic load. Who sees it sees everything that its writer did before the write.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = latchwork::Versioned::new(7);
    /// let written = cell.modify(|n| n + 1)?;
    /// assert_eq!(cell.stamp(), written.stamp());
    /// # Ok::<(), latchwork::stamp::StampsExhausted>(())
    /// ```
    #[inline]
    #[must_use]
    #[allow(clippy::missing_panics_doc, reason = "only stamps are stored")]
    pub fn stamp(&self) -> Stamp {
        Stamp::new(self.stamp.load(Ordering::Acquire)).expect("only stamps are stored")
    }

    /// Whether `stamp` is that of the value: one atomic load.
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

    /// Stores `value` if what is there is what was expected.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] with what is there, and `value` back; [`WriteError::Exhausted`].
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
                Missed::Exhausted(exhausted) => exhausted.into(),
            },
        )
    }

    /// Replaces the value by what `f` makes of it, if what is there is what was expected.
    ///
    /// `f` runs on a snapshot, outside every lock: it may take long, use this cell, or panic, which changes
    /// nothing. If somebody else writes meanwhile, and what is there then is expected as well, `f` is called
    /// again with that; so for one exact stamp it is called once at most. It is not called for a stamp
    /// that is stale from the beginning.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] with what is there, and what `f` returned; [`WriteError::Exhausted`].
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

    /// As [`update`](Self::update), with a closure that may say no, or that nothing is to change.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update), and [`WriteError::Refused`] with the closure's error.
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

    /// Replaces the value by what `f` makes of it, whatever it is. As for [`update`](Self::update), `f` is
    /// called again if somebody else writes meanwhile.
    ///
    /// # Fairness
    ///
    /// There is none: the first to store is the winner. If others always write while `f` runs, this never returns.
    /// Where `f` is slow and others are quick, bound it with [`modify_up_to`](Self::modify_up_to), or let all
    /// writers take a [`Mutex`](crate::Mutex) first.
    ///
    /// # Errors
    ///
    /// [`StampsExhausted`] if no stamp is left.
    ///
    /// # Examples
    ///
    /// ```
    /// let visits = latchwork::Versioned::new(0);
    /// std::thread::scope(|s| (0..2).for_each(|_| { s.spawn(|| visits.modify(|n| n + 1)); }));
    /// assert_eq!(*visits.snapshot(), 2);
    /// ```
    pub fn modify(&self, f: impl FnMut(&T) -> T) -> Result<Snapshot<T>, StampsExhausted> {
        match self.update(Expect::Any, f) {
            Ok(snapshot) => Ok(snapshot),
            Err(WriteError::Exhausted(exhausted)) => Err(exhausted),
            Err(WriteError::Conflict(_)) => unreachable!("a cell has a value, and any will do"),
            Err(WriteError::Refused(never)) => match never {},
        }
    }

    /// As [`modify`](Self::modify), but `f` is called `max` times at most.
    ///
    /// # Errors
    ///
    /// [`WriteError::Conflict`] if somebody else wrote during each of the calls. It has what is there now, what `f`
    /// returned last, and the stamp that this was made from. [`WriteError::Exhausted`].
    ///
    /// # Panics
    ///
    /// With zero.
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

    /// As [`modify`](Self::modify), with a closure that may say no, or that nothing is to change. One that is not to
    /// run for ever may count its calls, and say no after some of them.
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

    /// Waits until the value has another stamp than `stamp`; at once if it has. So a client that
    /// sends the stamp it knows can be answered when there is news, instead of asking again and again.
    ///
    /// It comes to the value as it is when the waiter looks, which may be several writes later. A write wakes
    /// everybody who waits.
    ///
    /// # Cancel safety
    ///
    /// As that of [`Acquire`]; nothing stays behind.
    ///
    /// # Examples
    ///
    /// ```
    /// use latchwork::Versioned;
    ///
    /// let price = Versioned::new(10);
    /// let known = price.stamp();
    /// std::thread::scope(|s| {
    ///     let news = s.spawn(|| price.changed(known).wait());
    ///     price.modify(|price| price + 1).expect("stamps are left");
    ///     assert_eq!(*news.join().expect("it does not panic"), 11);
    /// });
    /// ```
    pub fn changed(
        &self,
        stamp: Stamp,
    ) -> Acquire<impl Acquisition<Guard = Snapshot<T>, Timed = Result<Snapshot<T>, TimedOut>>> {
        Watching::acquire(CellVersion { cell: self, stamp })
    }

    /// The value.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(*latchwork::Versioned::new(7).into_arc(), 7);
    /// ```
    #[must_use]
    pub fn into_arc(self) -> Arc<T> {
        self.state.into_inner().current.into_arc()
    }

    /// The loop of every write by closure.
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

    /// Stores `value` in the place of one that will do.
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
            return Err(Missed::Exhausted(StampsExhausted));
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

/// One version of a cell.
struct CellVersion<'a, T> {
    cell: &'a Versioned<T>,
    stamp: Stamp,
}

impl<T> Watched for CellVersion<'_, T> {
    type Next = Snapshot<T>;
    type Guard = Snapshot<T>;

    fn next(&mut self) -> Option<Snapshot<T>> {
        self.may_be_over().then(|| self.cell.snapshot())
    }

    fn look(&mut self, spare: &mut Option<Arc<Watch>>) -> Look<Snapshot<T>> {
        let mut state = self.cell.state.lock();
        if state.current.stamp() != self.stamp {
            return Look::Over(state.current.clone());
        }
        if state.watch.is_none() {
            state.watch = spare.take();
        }
        match &state.watch {
            Some(watch) => Look::Wait(watch.clone()),
            None => Look::NeedsWatch,
        }
    }

    fn guard(self, next: Snapshot<T>) -> Snapshot<T> {
        next
    }

    fn forget(&mut self, watch: &Arc<Watch>) {
        let mut state = self.cell.state.lock();
        if state.watch.as_ref().is_some_and(|own| Arc::ptr_eq(own, watch)) && watch.close_if_idle() {
            state.watch = None;
        }
    }

    fn may_be_over(&self) -> bool {
        !self.cell.is_current(self.stamp)
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

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn the_last_waiter_who_gives_up_leaves_nothing_behind() {
        let cell = Versioned::new(1);
        let [mut one, mut two] = [(); 2].map(|()| Box::pin(cell.changed(Stamp::MIN)));
        for waiter in [&mut one, &mut two] {
            assert!(waiter.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(one);
        assert!(cell.state.lock().watch.is_some());
        drop(two);
        assert!(cell.state.lock().watch.is_none());
    }
}
