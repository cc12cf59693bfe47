//! The service. It is compiled once for each database, whose `Db` it uses as if there were no other.
//!
//! ```text
//! store        tables, what the handlers read and write on a connection, and the audit
//! naive        the handlers as they were; session: how they take and give back connections
//! guarded      the handlers with a scope
//! error        what can go wrong, whether to try again, and how it is answered
//! app          which handlers a side has
//! ```

mod app;
mod error;
mod guarded;
mod naive;
mod session;
mod store;

use super::{Db, Home, NEW_ID, Place};

pub(crate) use self::app::App;
