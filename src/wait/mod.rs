//! The waiting core.

mod acquire;
mod core;
mod line;
mod list;
mod on_core;
mod park;
mod patience;
mod policy;
mod wakes;

pub use self::acquire::{Acquire, Request};
pub(crate) use self::acquire::{End, Steps};
pub(crate) use self::core::{AsCore, Core};
pub(crate) use self::line::{Line, Step};
pub(crate) use self::list::{List, Node};
pub(crate) use self::on_core::OnCore;
pub(crate) use self::policy::{MAX_PERMITS, Word};
pub(crate) use self::wakes::Wakes;
