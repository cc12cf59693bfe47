//! [`Event`]: what the machine says to local requests and holders.

use std::time::{Duration, Instant};

use super::batch::Held;

/// A local request. Its caller numbers its requests, and never uses a number twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Ticket(pub(crate) u64);

/// Each request ends with one of the first three, or with its withdrawal. Each grant ends with one of the last two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// The key belongs to the request until it is released, or until the deadline.
    Granted { ticket: Ticket, held: Held, deadline: Instant },
    /// Another process holds the key for this long if it does not renew, and the request does not wait.
    Busy { ticket: Ticket, rest: Duration },
    /// No database answers and the request does not wait, or the machine shuts down.
    Unavailable { ticket: Ticket },
    /// The lease lasts longer: its new deadline.
    Extended { held: Held, deadline: Instant },
    /// The lease has ended under its holder.
    Lost { held: Held },
    /// The holder's release is done. `was_held`: the database has confirmed that the lease lasted until then. If not, it had
    /// ended before, or the answer was lost.
    Released { held: Held, was_held: bool },
}
