//! The logic of leases on locks that a database keeps: what to ask of it, and what its answers mean.
//!
//! It knows no database, no socket and no clock. Requests, answers and the time go in. Batches of statements, events and the
//! time of the next look go out. So a test can play everything to it that can happen on a network.
//!
//! ```text
//! batch      what is asked in one message, and what is answered
//! event      what local requests and holders hear. rules: how long things last
//! machine    the machine: its inputs. outgoing: what time brings, and what is asked. incoming: what answers mean
//! key_state  what is known of one key, and what it needs next. schedule: which keys are due
//! ```
//!
//! # One key
//!
//! A key has at most one local request (the *wish*), at most one grant (the *lease*), and at most one question in flight.
//!
//! ```text
//!           ask             take: granted             release, a request may follow
//!  nothing ─────▶ wish ───────────────────────▶ used ───────────────────────────────▶ kept ──┐ ask: pass,
//!     ▲            │ ▲ take: busy                │                                      │ ▲   │ then used
//!     │            └─┘ polls after a pause       │ release, withdrawn, deadline         │ └───┘
//!     │                                          ▼                                      ▼ window is over
//!     └────────────────────────────────────── ending ◀──────────────────────────────────┘
//!          released, or without a connection past its deadline
//! ```
//!
//! # Rules
//!
//! 1. A lease is counted from before its batch was handed out. The database counts from its execution, which is later. So the
//!    holder's lease ends first, whatever the network does.
//! 2. A deadline is final. An answer that arrives later does not revive the lease, and a grant that arrives after its own
//!    deadline is not given out. What the database still keeps is released.
//! 3. One batch is in flight, of a limited size. What becomes due meanwhile goes into the next ones: renewals first, with some
//!    room for the rest. If there is room, renewals and polls go along that are due soon.
//! 4. A lease is renewed from a third of its length on, and only while it is used.
//! 5. Releases, renewals and passes name key and number. A late or repeated one cannot touch a later grant.
//! 6. A release precedes a take of the same key. Otherwise takes of the own row would keep other processes out.
//! 7. A grant belongs to the request that waits when it arrives. If none does, it is released. Only a busy answer is bound to
//!    the request for which it was asked, as it may be older than another one.
//! 8. A notification during a look makes another look, because the look may be older.
//! 9. While another process waits, a key is passed on a limited number of times. Then it is released, and the next local request
//!    lets an interval pass, even if it is notified.
//! 10. Without a connection nothing is known of the batch in flight. Takes, renewals and releases are asked again. A pass
//!     is asked again as a take, because the number may have changed.
//!
//! # What the database must do
//!
//! - A take gets a key that is free, whose lease has ended, or whose holder is this process: its answer may have been lost.
//! - Renewals, passes and releases change only a row with this number *and* this holder. A release removes the holder. So a
//!   late renewal does not revive a released row.
//! - A pass keeps the mark that another process waits, and its answer reports it.
//!
//! # What is promised
//!
//! While the clock of the database is not stepped forward: at most one process holds a key at a time. Numbers of a key rise.
//! A request that waits gets the key after all holders have released. Nothing is kept of keys that are neither asked for
//! nor held.
//!
//! Not promised:
//!
//! - Order between processes.
//! - A lease in spite of a batch of a lost connection that is executed later: an old take of this process can give the key a
//!   new number. The holder then loses its lease early. No other process gets the key before its deadline.
//! - A free row at once, if the answer to a take or a pass was lost and the request withdrawn: it is free when its lease ends.
//! - The answer that a release was in time, if the connection was lost before it.

mod batch;
mod event;
mod incoming;
mod key_state;
mod machine;
mod outgoing;
mod rules;
mod schedule;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::batch::Take;
pub(crate) use self::batch::{Answers, Batch, Busy, Grant, Held, KeyBytes};
pub(crate) use self::event::{Event, Ticket};
pub(crate) use self::machine::Machine;
pub(crate) use self::rules::Rules;
