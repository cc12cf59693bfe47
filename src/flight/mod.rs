//! One call for all who ask for the same at the same time.
//!
//! ```text
//! single    SingleFlight: the public calls
//! request   the pending call for one key
//! lead      the guard of who does the work
//! table     the flights that are under way
//! ```
//!
//! # The idea
//!
//! **Presence in the table is the flight**: a key is there from the moment that somebody leads until the lead
//! ends, and nobody finds a flight that is over. What those who joined wait on is a [`Watch`](crate::wait::Watch), the
//! broadcast that happens once; its last word is the value, or that there is none.
//!
//! # The states
//!
//! ```text
//!                       finish: out of the table, then the last word is the value
//!             ┌───────────────────────────────────────────────► landed
//! under way ──┤
//!             └───────────────────────────────────────────────► aborted
//!                       drop: out of the table, then the last word is that there is none
//! ```
//!
//! - **Caller**: finds the key's flight, or puts a new one in, under the shard's lock: so there is one at a time.
//!   Who put it in leads. Who found it has *joined* and holds on to it: whether it is enlisted yet or not, that
//!   flight's value is its answer, also when it looks late.
//! - **Leader**: takes the key out under the lock, then ends the watch. If nobody holds on to the flight by
//!   then, nobody ever will, and the value goes back as it came: neither cloned nor moved to the heap.
//! - **Who joined, when it runs**: looks for the last word. A value is cloned. If there is none it is a caller
//!   again.
//!
//! **Nobody is handed the lead.** After an aborted flight everybody who joined is told, and whoever runs first
//! leads the next one. One chosen successor would be the cheaper telling, but it may be a future that is never
//! polled again (kept in a `select!` whose other branch runs for long), and all others would wait for it: the
//! futurelock of [`wait`](crate::wait). The price is paid by failures alone: n callers whose work fails one after the
//! other are told n²/2 times in all.
//!
//! # Why no wake-up is lost
//!
//! 1. *The flight ends before the caller looks at the table.* It is out by then: the caller leads, or
//!    joins the next one.
//! 2. *It ends after the caller joined, and before it enlists.* Nobody enlists with a watch that is over; the
//!    caller looks again and finds the last word.
//! 3. *It ends after the caller has enlisted.* The caller is told. If the batch of wakers runs full, the leader
//!    comes back for the rest, whatever a waker does.
//! 4. *Somebody who joined gives up.* It takes itself off. It owed nothing to anybody, told or not.
//! 5. *It was aborted, and who was told looks at the table.* The flight was taken out before anybody was told, so
//!    it is not found again: the caller leads or joins a later flight, which is case 1 to 3 anew.
//!
//! All of this is ordered by two locks, the shard's and the watch's, which are never held together. The value is
//! published by the watch's.
//!
//! # What runs where
//!
//! Under a shard's lock: `Eq` of keys whose hashes meet; a panic there changes nothing. Everything else of the
//! user's runs outside: the work, `Hash` and conversions of keys, `Clone` and `Drop` of values, `Drop` of keys,
//! wakers. If one of them panics, it does so in the call that ran it:
//!
//! | what panics | where | what the others see |
//! |---|---|---|
//! | the work | in its leader | aborted: one of them leads |
//! | a clone of the value | in the one who asked for it | their own clones |
//! | a key's `Hash`, `Eq` or conversion | in the caller | nothing |
//! | the stored key's `Drop`, a waker | in the leader, when all have been told | the value, or aborted |
//! | a value's `Drop` | in whoever lets go of it last | nothing |
//!
//! # What is not promised
//!
//! - **No caching.** A value lives as long as those who joined before it was there, and none of them is
//!   found by a newcomer.
//! - **A value may be older than the question**: who joins gets the result of work that was begun before it asked. If
//!   it must see its own write, the work is to be done anew.
//! - **A leader that hangs, hangs all.** Limit the work, or the wait: [`Acquire::timeout`](crate::Acquire::timeout).
//!   The same for a lead that was forgotten, and for work that asks for its own key.

mod lead;
mod request;
mod single;
mod table;

pub use self::lead::{Leader, LeaderHold, OwnedLeader, Role};
pub use self::single::{Flown, SingleFlight};
pub use self::table::FlightStats;
