//! The waiting core: one way to wait, for `Mutex`, `RwLock`, `Semaphore` and every key of a table.
//!
//! It is a counting semaphore with a FIFO line. A mutex is one permit; a read-write lock is
//! `MAX_PERMITS`, of which a reader takes one and a writer all; a key of a `KeyedLock` is the same.
//!
//! ```text
//! policy    who may take permits now: arithmetic on one word, pure
//! round     time, counted in rounds of the helper
//! list      the intrusive rings of waiters: the only raw pointers
//! wakes     what is to be done outside the locks: wakers to wake, a helper to call
//! line      what each party does under the lock that guards the line
//! look      what the helper does with it; aside: one that waits in several lines
//! core      an atomic word and a line: for locks that stand alone (tables have their own)
//! on_core   what a lock with a core asks of it
//! helper    one thread that gives up waiters that do not come
//! park      blocking a thread; runtime, parked: what a runtime makes of it
//! acquire   the public object, awaited or waited for
//! watch     another thing to wait for: that something is over, said to everybody once
//! ```
//!
//! # The idea
//!
//! **Barging below a bound, reservation above it.** A release puts the permits back into the word and notifies the
//! first waiter, that is: wakes it. Whatever runs next and finds the permits takes them. So a lock that is held for
//! nanoseconds changes hands rarely, and a future that is never polled again holds nothing.
//!
//! While somebody waits, newcomers are counted. When so many have passed the eldest waiter, or when it came in vain after
//! few had, it is *starving*, and the permits are *reserved*: they stay in the word, newcomers queue, and only the
//! waiter whose turn it is takes them.
//!
//! **Nobody owns permits without having run.** Handing the lock over to a future would freeze it if that future is not
//! polled. A reservation is taken back by no longer counting on the waiter.
//!
//! # The states
//!
//! ```text
//! word = [ permits | left | WHOLE | WAITING | QUEUED ]
//! ```
//!
//! A waiter is
//!
//! - *queued*: its waker is stored;
//! - *notified*: its waker is spent, and what it needs is counted as claimed;
//! - *away*: it was notified and did not come within its patience. Nobody counts on it until it comes;
//! - *oversized*: it wants more permits than there are in all.
//!
//! *Live* ones are queued or notified; the *eldest* is the live one with the oldest ticket.
//!
//! QUEUED: a release must look at the line. WHOLE: only when all permits of a read-write lock are back, so that of 16
//! readers 15 leave without a lock. WAITING: newcomers are counted. `left`: how many more may take permits; with
//! nothing left they are reserved. These marks are changed under the line's lock only, in one compare-and-swap with
//! the permits.
//!
//! # What each party does
//!
//! - **Newcomer**: takes by compare-and-swap if nobody waits or something is left. Otherwise, under the line's lock, it
//!   takes what nobody before it claims, or enlists at the back.
//! - **Release**: adds the permits to the word. If the word says so, it locks the line and *settles*.
//! - **Settling** ends each change: it notifies those at the front for whom the permits suffice and nobody before them
//!   claims them, and marks the word. A front that finds some permits but too few is starving at once: a writer
//!   among readers.
//! - **Waiter, when it runs**: takes if it is the eldest, or if there is enough for all that are older. In vain, it goes
//!   back to its ticket's place. It is starving then if at most 8 newcomers passed since it was notified (holds are
//!   long), if it came in vain three times, if it has waited for two rounds, or if it was away. So a long hold passes
//!   it about once, and short ones as often as they may. Where holds were found to be long, the next waiters have their
//!   turns in order, without coming in vain first.
//! - **Cancel**: leaves the line, and settles.
//! - **Helper**: a thread that looks at *crowded* lines, in which two are live. It gives up notified ones whose patience
//!   is over (2 rounds for a task, 256 for a parked thread) and wakes a growing number in their place. It wakes a front
//!   that has been blocked for long, which by that shows that it is there. It has no look at the word: those it wakes come
//!   in vain or not, and settle.
//!
//! # How often a waiter is passed
//!
//! By at most 512 newcomers while it is the eldest, and by 4 096 in all, if it runs promptly after each wake-up. A line
//! of n divides the second number among its turns ([`policy::allowance`]): if a line that was passed often were served
//! one after the other, the one newcomer that passed it would find it empty and pass the next line, too. Older ones go
//! before it. Those that were given up for their lateness come back to their place.
//!
//! # Why no wake-up is lost
//!
//! The claim: if the permits suffice for the eldest live waiter and it is queued, somebody is on the way to notify it.
//! And of those that were notified, each takes, comes in vain, leaves, or is given up: and each of the four settles, or
//! wakes the next.
//!
//! 1. *It queued before the release.* The release's addition came after the compare-and-swap that set QUEUED, saw it,
//!    and settles. The line's lock orders it after the linking.
//! 2. *It queued after the release, or while it came.* Settling follows the linking, and its compare-and-swap works on
//!    the word with the permits in it.
//! 3. *QUEUED is off although somebody is queued.* All permits are claimed by notified ones, of whom the eldest is one.
//! 4. *It was notified, and another took the permits first.* It finds them gone, and queues again by case 2.
//! 5. *It was not notified, as another took the permits before the release had settled.* That release notifies it all
//!    the same, so that it sees that it is passed.
//! 6. *It was notified, and is dropped.* It settles under the same lock.
//! 7. *The batch of wakers ran full.* Whoever wakes them comes back to settle again; a waker's panic is kept until then.
//! 8. *It was notified, and is never polled.* If it is alone, nobody waits behind it, and the next newcomer that is
//!    refused makes the line crowded. If others wait, the line is crowded: the helper looks at it in every round until it
//!    is not. Any number of silent ones is given up by a doubling burst.
//! 9. *A silent front for which the permits do not suffice.* The helper asks it, and gives it up when it does not come.
//! 10. *The word's marks are stale after a round.* They say too often that somebody waits. A newcomer that is refused by
//!     them settles and looks again; so does a notified one that comes.
//! 11. *It was away, and comes.* By its ticket it is the eldest again, or queues where it stood.
//!
//! # Orderings
//!
//! Taking permits is Acquire, giving them back is Release, both on the word; every change of the word
//! is a read-modify-write, so the releases form one sequence and a taker sees what every earlier
//! holder wrote. Weakening any of the three to Relaxed fails a model. Everything else is guarded by the
//! line's lock.
//!
//! # Rules
//!
//! - Only a node's owner links it, and it owns it by `Pin<&mut Node>`; see [`list`].
//! - A line stands behind an `Arc`, made when somebody waits for the first time. Its address does not change when the lock
//!   moves, which it may after a borrowed waiter was forgotten.
//! - **No user code under the line's lock**: wakers are cloned before, and woken and dropped after. A
//!   waker may re-enter the same lock from any of the three, panic, or drop its neighbour.
//! - No lock path reads a clock. Time is the helper's round: it stands still while no line is crowded, and is late when
//!   the machine is busy. Both are right, since it measures how long somebody had to come.
//! - A section under the line's lock is O(1), but for two: a waiter that comes back out of order walks to its place from
//!   where the last one came back, and a round looks at no more than 1 024 waiters.
//!
//! # What is proven, and how
//!
//! `policy` is tested exhaustively for small words. The models in `tests/loom` run this very code; each
//! is named after its claim, and `.ci/seeded` keeps the bugs that they must catch. Loom has no time: a model plays
//! rounds by hand, in which everybody is late, and a timeout is a drop. It does not model load buffering.
//! `tests/it/fairness.rs` and `futurelock.rs` hold the promises about turns, by polls and rounds driven by hand.
//!
//! # Sources
//!
//! - Starvation mode: Go's `sync.Mutex` (2016), which hands over to a waiter that waited for a millisecond.
//! - Barging with eventual fairness: F. Pizlo, "Locking in WebKit" (2016), and `parking_lot`'s fair unlocks.
//! - Futurelock: Oxide Computer Company, RFD 609 (2025).

mod acquire;
mod aside;
mod core;
pub mod helper;
mod line;
mod list;
mod look;
mod on_core;
mod park;
#[cfg(all(feature = "tokio", not(latchwork_loom)))]
mod parked;
mod policy;
mod round;
#[cfg(all(feature = "tokio", not(latchwork_loom)))]
mod runtime;
mod wakes;
mod watch;

pub(crate) use self::acquire::End;
pub use self::acquire::{Acquire, Request};
pub(crate) use self::aside::Keeps;
pub(crate) use self::core::{AsCore, Core};
pub(crate) use self::line::{Line, Pool, Step};
pub(crate) use self::list::{List, Node, Nodes, Place, Stand};
pub(crate) use self::on_core::OnCore;
pub(crate) use self::park::{block_on, blocking, report_misuse};
pub(crate) use self::policy::{MAX_PERMITS, Refusal, Word};
pub(crate) use self::wakes::Wakes;
pub(crate) use self::watch::{Look, Watch, Watched, Watching};
