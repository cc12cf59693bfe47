//! [`Gate`]: what escalated attempts exclude each other with. Retry itself knows no lock.

use std::future::Future;
use std::sync::Arc;

/// A lock by key, as an escalation needs it: see
/// [`RetryOnConflict::escalate_after`](crate::retry::RetryOnConflict::escalate_after).
///
/// [`KeyedLock`](crate::KeyedLock) is one; a lock in the database can be made one. What each method
/// returns keeps the caller inside until it is dropped.
///
/// # Examples
///
/// ```
/// use latchwork::{KeyedLock, retry::Gate};
/// use std::{future::Future, sync::Arc};
///
/// /// All rows of one tenant are one gate.
/// struct Tenants(Arc<KeyedLock<u32>>);
///
/// impl Gate<(u32, u64)> for Tenants {
///     fn together(&self, (tenant, _): (u32, u64)) -> impl Future<Output: Send> + Send {
///         self.0.lock_shared_owned(tenant)
///     }
///     fn alone(&self, (tenant, _): (u32, u64)) -> impl Future<Output: Send> + Send {
///         self.0.lock_owned(tenant)
///     }
/// }
/// # futures::executor::block_on(async {
/// let tenants = Tenants(Arc::default());
/// let inside = tenants.alone((7, 1)).await;
/// assert!(tenants.0.is_locked(7));
/// # drop(inside);
/// # });
/// ```
pub trait Gate<Q> {
    /// Goes in beside others, once nobody is in alone.
    fn together(&self, key: Q) -> impl Future<Output: Send> + Send;

    /// Goes in alone, once nobody else is in.
    fn alone(&self, key: Q) -> impl Future<Output: Send> + Send;
}

impl<G: Gate<Q>, Q> Gate<Q> for Arc<G> {
    fn together(&self, key: Q) -> impl Future<Output: Send> + Send {
        (**self).together(key)
    }

    fn alone(&self, key: Q) -> impl Future<Output: Send> + Send {
        (**self).alone(key)
    }
}

/// How an attempt goes in: private to the crate, named by the type of a call that was set up.
pub trait Entrance {
    /// Goes in as the conflicts so far demand, and stays in until what it returns is dropped.
    #[doc(hidden)]
    fn enter(&self, conflicts: u32) -> impl Future<Output: Send> + Send;
}

/// No gate: attempts rely on the stamp alone.
#[derive(Clone, Copy, Debug)]
pub struct Ungated;

/// A gate that is gone through together at first, and alone after so many conflicts.
#[derive(Clone, Copy, Debug)]
pub struct Gated<'g, G, Q> {
    pub(super) gate: &'g G,
    pub(super) key: Q,
    pub(super) after: u32,
}

/// Keeps the caller inside, one way or the other.
enum Pass<T, A> {
    Together { _pass: T },
    Alone { _pass: A },
}

impl Entrance for Ungated {
    fn enter(&self, _: u32) -> impl Future<Output: Send> + Send {
        std::future::ready(())
    }
}

impl<G: Gate<Q> + Sync, Q: Clone + Send + Sync> Entrance for Gated<'_, G, Q> {
    fn enter(&self, conflicts: u32) -> impl Future<Output: Send> + Send {
        async move {
            let key = self.key.clone();
            if conflicts < self.after {
                Pass::Together { _pass: self.gate.together(key).await }
            } else {
                Pass::Alone { _pass: self.gate.alone(key).await }
            }
        }
    }
}
