//! [`Role`] and [`Flown`]: what a call gets.

use super::lead::Leader;

/// What [`SingleFlight::join`](super::SingleFlight::join) returns.
///
/// # Examples
///
/// ```
/// use latchwork::{SingleFlight, flight::Role};
///
/// let menus = SingleFlight::<u32, String>::new();
/// let menu = match menus.join(7).wait() {
///     Role::Leader(leader) => leader.finish("soup".to_owned()), // if it is dropped before, another call leads
///     Role::Joined(menu) => menu,
/// };
/// assert_eq!(menu, "soup");
/// ```
#[derive(Debug)]
#[must_use = "a leader that is dropped aborts its flight"]
pub enum Role<K, V> {
    /// This caller does the work, for all calls that join.
    Leader(Leader<K, V>),
    /// The value that another caller made.
    Joined(V),
}

/// What [`SingleFlight::run`](super::SingleFlight::run) returns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct Flown<V> {
    /// The result of the work.
    pub value: V,
    /// `true` if this caller did the work, `false` if another one did.
    pub led: bool,
}

impl<V> Flown<V> {
    pub(super) fn led(value: V) -> Self {
        Self { value, led: true }
    }

    pub(super) fn joined(value: V) -> Self {
        Self { value, led: false }
    }
}
