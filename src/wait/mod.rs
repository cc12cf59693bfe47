//! The waiting core: one way to wait, for `Mutex`, `RwLock`, `Semaphore` and every key of a table.
//!
//! It is a counting semaphore with a FIFO line. A mutex is one permit; a read-write lock is
//! `MAX_PERMITS`, of which a reader takes one and a writer all; a key of a `KeyedLock` is the same.
//!
//! ```text
//! policy    who may take permits now: arithmetic on one word, pure
//! round     time, counted in rounds of the helper
//! list      the intrusive rings of waiters: the only raw pointers
//! wakes     work for after the locks are released: wakers to wake, a helper to call
//! line      what each party does under the lock that guards the line
//! look      what the helper does with it; aside: one that waits in several lines
//! core      an atomic word and a line: for locks that stand alone (tables have their own)
//! on_core   what a lock with a core asks of it
//! helper    one thread that gives up waiters that do not come
//! overdue   one thread that reports waits that last (feature `tracing`)
//! park      blocking a thread; runtime, parked: what a runtime makes of it
//! acquire   the public object, awaited or waited for; acquisition: what it asks of a lock; bounded: if few wait
//! watch     another thing to wait for: the end of something, broadcast once
//! ```
//!
//! # The idea
//!
//! **Barging below a bound, reservation above it.** A release puts the permits back into the word and notifies the
//! first waiter, that is: wakes it. Whatever runs next and finds the permits takes them. So a lock that is held for
//! nanoseconds changes hands rarely, and a future that is never polled again holds nothing.
//!
//! While the lock has waiters, newcomers are counted. The eldest waiter is *starving* if enough of them have passed it, or
//! if it came in vain after few had. Then the permits are *reserved*: they stay in the word, newcomers queue, and only the
//! waiter whose turn it is takes them.
//!
//! **A caller owns permits only after it has run.** Handing the lock over to a future would freeze the lock if that future
//! is not polled. To take a reservation back, the line stops counting on the waiter.
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
//! - *away*: it was notified and did not come within its patience. The line does not count on it until it comes;
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
//! - **Newcomer**: takes by compare-and-swap if the lock has no waiters, or if something is left. Otherwise it locks the
//!   line. There it takes permits that no waiter before it claims, or enlists at the back.
//! - **Release**: adds the permits to the word. If the word says so, it locks the line and *settles*.
//! - **Settling** ends each change. It notifies waiters from the front while the unclaimed permits cover their needs, and
//!   marks the word. A front for which there are some permits, but too few, is starving at once: a writer among readers.
//! - **Waiter, when it runs**: takes if it is the eldest, or if there is enough for all that are older. If it came in vain,
//!   it goes back to its ticket's place. It is starving then if at most 8 newcomers passed since it was notified: holds are
//!   long. It is also starving if it came in vain three times, has waited for two rounds, or was away. So a long hold
//!   passes it about once, and short holds as often as the bound allows. After long holds, the next waiters have their
//!   turns in order, without coming in vain first.
//! - **Cancel**: leaves the line, and settles.
//! - **Helper**: a thread that looks at *crowded* lines, in which two waiters are live. It gives up notified waiters after
//!   their patience: 2 rounds for a task, 256 for a parked thread. It wakes a growing number in their place. It wakes a front
//!   that has been blocked for long, so that the front shows that it still runs. It does not read the word: the waiters that
//!   it wakes may come in vain, and they settle.
//!
//! # How often a waiter is passed
//!
//! By at most 512 newcomers while it is the eldest, and by 4 096 in all, if it runs promptly after each wake-up. A line
//! of n divides the second number among its turns ([`policy::allowance`]). Otherwise a line that was passed often would be
//! served without a gap. The newcomer that passed it would find it empty and pass the next line, too. Older waiters go
//! before it. Waiters that were given up because they were late come back to their place.
//!
//! # Why no wake-up is lost
//!
//! The claim: if the permits suffice for the eldest live waiter and it is queued, then a party is on its way to notify it.
//! Each notified waiter takes, comes in vain, leaves, or is given up. Each of the four settles, or wakes the next.
//!
//! 1. *It queued before the release.* The release's addition came after the compare-and-swap that set QUEUED, saw it,
//!    and settles. The line's lock orders it after the linking.
//! 2. *It queued after the release, or while it came.* Settling follows the linking, and its compare-and-swap works on
//!    the word with the permits in it.
//! 3. *QUEUED is off although a waiter is queued.* Notified waiters claim all permits, and the eldest is one of them.
//! 4. *It was notified, and another took the permits first.* It finds them gone, and queues again by case 2.
//! 5. *It was not notified, as another took the permits before the release had settled.* That release notifies it all
//!    the same, so that it sees that it is passed.
//! 6. *It was notified, and is dropped.* It settles under the same lock.
//! 7. *The batch of wakers ran full.* The party that wakes them settles again; a waker's panic is kept until then.
//! 8. *It was notified, and is never polled.* If it is alone, no waiter is behind it, and the next newcomer that is
//!    refused makes the line crowded. If others wait, the line is crowded, and the helper looks at it in every round. Any
//!    number of silent waiters is given up by a doubling burst.
//! 9. *A silent front for which the permits do not suffice.* The helper wakes it, and gives it up if it does not come.
//! 10. *The word's marks are stale after a round.* They may say that a waiter is expected when none is. A newcomer that is
//!     refused by them settles and looks again. So does a notified waiter that comes.
//! 11. *It was away, and comes.* By its ticket it is the eldest again, or queues where it stood.
//!
//! # Orderings
//!
//! Taking permits is Acquire, giving them back is Release, both on the word. Every change of the word is a
//! read-modify-write. So the releases form one sequence, and a taker sees what every earlier holder wrote. Weakening any of the three to Relaxed fails a model. Everything else is guarded by the
//! line's lock.
//!
//! # Rules
//!
//! - Only a node's owner links it, and it owns it by `Pin<&mut Node>`; see [`list`].
//! - A line stands behind an `Arc`, which is made when a caller waits for the first time. So its address does not change
//!   when the lock moves, which can happen after a borrowed waiter was forgotten.
//! - **No user code under the line's lock**: wakers are cloned before, and woken and dropped after. A
//!   waker may re-enter the same lock from any of the three, panic, or drop its neighbour.
//! - No lock path reads a clock. Time is the helper's round. It stands still while no line is crowded, and is late when
//!   the machine is busy. Both are right, since it measures how long a waiter had time to come.
//! - A section under the line's lock is O(1), with two exceptions. A waiter that comes back out of order walks to its place
//!   from where the last one came back. A round looks at no more than 1 024 waiters.
//!
//! # What is proven, and how
//!
//! `policy` is tested exhaustively for small words. The models in `tests/loom` run this very code; each
//! is named after its claim, and `.ci/seeded` keeps the bugs that they must catch. Loom has no time: a model plays
//! rounds by hand, in which every waiter is late, and a timeout is a drop. It does not model load buffering.
//! `tests/it/wait/fairness.rs` and `futurelock.rs` hold the promises about turns, by polls and rounds driven by hand.
//!
//! # Sources
//!
//! - Starvation mode: Go's `sync.Mutex` (2016), which hands over to a waiter that waited for a millisecond.
//! - Barging with eventual fairness: F. Pizlo, "Locking in WebKit" (2016), and `parking_lot`'s fair unlocks.
//! - Futurelock: Oxide Computer Company, RFD 609 (2025).

mod acquire;
mod acquisition;
mod aside;
mod bounded;
mod core;
pub mod helper;
mod line;
mod list;
mod look;
mod on_core;
#[cfg(feature = "tracing")]
pub(crate) mod overdue;
mod park;
#[cfg(all(feature = "tokio", not(latchwork_loom)))]
mod parked;
mod policy;
mod round;
#[cfg(all(feature = "tokio", not(latchwork_loom)))]
mod runtime;
mod wakes;
mod watch;

pub use self::acquire::Acquire;
pub(crate) use self::acquisition::End;
pub use self::acquisition::{Acquisition, Attempt, OneQueue};
pub(crate) use self::aside::Keeps;
pub use self::bounded::Bounded;
pub(crate) use self::core::{AsCore, Core};
pub(crate) use self::line::{Line, Pool, Step};
pub(crate) use self::list::{List, Node, Nodes, Place, Stand};
pub(crate) use self::on_core::{Granted, OnCore};
pub(crate) use self::park::{block_on, blocking, give_way, report_misuse};
pub(crate) use self::policy::{MAX_PERMITS, Refusal, Word};
pub(crate) use self::wakes::Wakes;
pub(crate) use self::watch::{Look, Watch, Watched, Watching};
