//! The shop. It is compiled once for each database, whose `Db` it uses as if there were no other.
//!
//! ```text
//! store        tables, and what all ways read
//! naive        the handlers as they were
//! for_update, atomic, optimistic    three ways to write them anew; the lock is in front of the naive ones
//! register     how a name that is taken becomes a 409
//! auth         who sends a request
//! error        what can go wrong, and how it is answered; policies: what is tried again
//! service      which handlers and layers a way has
//! ```

mod atomic;
mod auth;
mod error;
mod for_update;
mod naive;
mod optimistic;
mod policies;
mod register;
mod service;
mod store;

use super::{Db, LOCKING_READ, Place, Pools};

pub(crate) use self::service::App;
