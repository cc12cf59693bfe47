//! Compute, compare, swap, and start again if another write was faster: the loop behind every write by closure.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::conflict::{Conflict, Exhausted, WriteError};
use super::expect::Expect;
use super::snapshot::Snapshot;

/// What a fallible closure returns for a value.
///
/// # Examples
///
/// ```
/// use latchwork::{Versioned, versioned::Change};
///
/// let online = Versioned::new(true);
/// let same = online.try_modify(|_| Ok::<_, std::convert::Infallible>(Change::Keep))?;
/// assert_eq!(same.stamp().get(), 1);
/// # Ok::<(), latchwork::versioned::WriteError<bool>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change<T> {
    /// Writes nothing: value and stamp stay as they are.
    Keep,
    /// Stores this value.
    Set(T),
}

/// Why a swap failed.
pub(super) enum Missed<T> {
    /// The value is no longer the one that the new one was computed from.
    Moved {
        /// The current version.
        current: Option<Snapshot<T>>,
        /// The value that was not stored.
        value: Arc<T>,
    },
    /// No stamp is left for this value.
    Exhausted(Arc<T>),
}

/// Replaces what `seen` shows by what `compute` returns for it, as long as `expect` admits that version. It gives up after
/// `max` values that could not be stored, with a conflict about the last one.
///
/// `swap` stores a value in the place of the one that was seen. Everything else runs outside the locks that it takes.
pub(super) fn write<T, E>(
    expect: Expect,
    max: NonZeroUsize,
    mut seen: Option<Snapshot<T>>,
    mut compute: impl FnMut(&T) -> Result<Change<T>, E>,
    mut swap: impl FnMut(&Snapshot<T>, Arc<T>) -> Result<Snapshot<T>, Missed<T>>,
) -> Result<Snapshot<T>, WriteError<T, E>> {
    let mut rejected = None;
    let mut left = max.get();
    loop {
        let found = seen.as_ref().map(Snapshot::stamp);
        let current = match seen {
            Some(current) if expect.admits(found) => current,
            seen => {
                // Without a value there is nothing to compute from: so `Any` and the like expect one here.
                let expected = if expect.admits(found) { Expect::Present } else { expect };
                return Err(Conflict::new(expected, seen, rejected).into());
            }
        };
        let next = match compute(&current) {
            Ok(Change::Set(next)) => next,
            Ok(Change::Keep) => return Ok(current),
            Err(error) => return Err(WriteError::Refused(error)),
        };
        match swap(&current, Arc::new(next)) {
            Ok(stored) => return Ok(stored),
            Err(Missed::Exhausted(value)) => return Err(Exhausted::new(unshared(value)).into()),
            Err(Missed::Moved { current: now, value }) => {
                rejected = Arc::into_inner(value);
                left -= 1;
                if left == 0 {
                    let last = Conflict::new(current.stamp().into(), now, rejected);
                    return Err(WriteError::Crowded(last));
                }
                seen = now;
            }
        }
    }
}

/// Returns a value that was to be stored, and was not.
pub(super) fn unshared<T>(value: Arc<T>) -> T {
    Arc::into_inner(value).expect("nobody has a value that was not stored")
}

/// Without a bound.
pub(super) const UNTIL_DONE: NonZeroUsize = NonZeroUsize::MAX;

/// Returns the number of tries of a bounded write.
///
/// # Panics
///
/// If the number is zero.
#[track_caller]
pub(super) fn at_most(max: usize) -> NonZeroUsize {
    NonZeroUsize::new(max).expect("a write needs one try at least")
}

/// Makes a closure that cannot fail one that could.
pub(super) fn always<T, E>(mut compute: impl FnMut(&T) -> T) -> impl FnMut(&T) -> Result<Change<T>, E> {
    move |value| Ok(Change::Set(compute(value)))
}
