//! The waiting core: one way to wait, for `Mutex`, `RwLock`, `Semaphore` and every key of a table.
//!
//! It is a counting semaphore with a FIFO line. A mutex is one permit; a read-write lock is
//! `MAX_PERMITS`, of which a reader takes one and a writer all; a key of a `KeyedLock` is the same.
//!
//! ```text
//! policy    who may take permits now: arithmetic on one word, pure
//! list      the intrusive queue: the only raw pointers
//! patience  the one clock
//! wakes     wakers on their way out of a lock
//! line      what each party does under the lock that guards the line
//! core      an atomic word and a line: for locks that stand alone (tables have their own)
//! on_core   what a lock with a core asks of it
//! park      blocking a thread
//! acquire   the public object, awaited or waited for
//! watch     another thing to wait for: that something is over, told to everybody once
//! ```
//!
//! # The idea
//!
//! **Nobody is handed the lock.** A release puts the permits back into the word and *tells* the first
//! waiter, that is: wakes it. Whoever runs next and finds the permits takes them. So a future that was
//! told and is never polled again holds nothing. (Handing over to it would freeze the lock; Oxide's RFD
//! 609 calls that a futurelock.) What handing over is good for, fairness, comes from a bound: while somebody
//! waits, newcomers may take the permits 512 times at most, and, if that takes longer than half a
//! millisecond, no more. Then they are refused and stand in line.
//!
//! # The states
//!
//! ```text
//! word = [ permits | overtaken | WAITING | QUEUED ]
//! ```
//!
//! A waiter is *queued* (linked, its waker stored), or *told* (unlinked, its waker spent, counted in
//! `told`). QUEUED says that the queue is not empty, WAITING that somebody is queued or told. Both are
//! written under the line's lock only, so is everything else that is not the word.
//!
//! - **Newcomer**: takes by compare-and-swap if the policy lets it. Otherwise, under the lock, it
//!   tries again with a compare-and-swap that either takes or sets QUEUED, and links itself.
//! - **Release**: adds the permits to the word; if the old word said QUEUED, it locks the line and
//!   tells the front waiters whom the permits suffice for.
//! - **Waiter, when it runs**: a told one takes the permits if they are there, whatever the bound, and
//!   starts the count of overtakings anew; if they are gone, it queues again, at the front.
//! - **Cancel**: unlinks, or counts itself off the told, and tells the next in its place.
//! - **Stand-in**: a newcomer refused by the bound although the permits are there tells the front
//!   waiter, as a release would, and looks again and again (a task by waking itself, a thread by short
//!   parks), each time telling one more. Once it is at the front itself, and those before it were told
//!   but have not come, it takes the permits after half a millisecond. So the bound delays, and never
//!   blocks, those who come past silent waiters, however many.
//!
//! # Why no wake-up is lost
//!
//! The claim: if the permits suffice for the front of the queue, it has been told, or somebody is on
//! the way to tell it, or somebody told earlier has not run yet.
//!
//! 1. *It queued before the release.* The release's addition came after the compare-and-swap that set
//!    QUEUED, saw it, and goes to tell. The line's lock orders it after the linking.
//! 2. *It queued after the release.* Its compare-and-swap worked on the word with the permits in it;
//!    so it was refused by the bound, not for want of permits, and stands in.
//! 3. *It was told, and another took the permits first.* It finds them gone and queues again by case 1
//!    or 2. The other's release comes later.
//! 4. *It was told, and is dropped.* `leave` tells the next under the same lock. The same if it was
//!    queued at the front and wanted more than there is, while those behind it want less.
//! 5. *More permits were released than the told ones take.* The last of the told tells on (`chain`).
//! 6. *The batch of wakers ran full.* The releaser comes back for the rest before it returns; a waker's
//!    panic is kept until then.
//!
//! What case 3 leaves: a waiter that was told and is **never polled** takes one telling with it. The
//! permits are free then, and whoever comes takes them; but those who were parked behind it hear of
//! them only from the next release or the next newcomer that is refused.
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
//! - **No user code under the line's lock**: wakers are cloned before, and woken and dropped after. A
//!   waker may re-enter the same lock from any of the three, panic, or drop its neighbour.
//! - Every section under the line's lock is O(1): a batch has eight wakers, and a waiter that came in vain
//!   passes eight others at most to find its place again.
//!
//! # What is proven, and how
//!
//! `policy` is tested exhaustively for small words. The models in `tests/loom` run this very code; each
//! is named after its claim, and `.ci/seeded` keeps the bugs that they must catch. Loom does not model
//! time (a model's patience is always over, a timeout is a drop) nor load buffering.

mod acquire;
mod core;
pub mod helper;
mod line;
mod list;
mod on_core;
mod park;
mod policy;
mod round;
mod wakes;
mod watch;

pub(crate) use self::acquire::End;
pub use self::acquire::{Acquire, Request};
pub(crate) use self::core::{AsCore, Core};
pub(crate) use self::line::{Line, Pool, Step};
pub(crate) use self::list::{List, Node, Nodes, Place, Stand};
pub(crate) use self::on_core::OnCore;
pub(crate) use self::park::blocking;
pub(crate) use self::policy::{MAX_PERMITS, Refusal, Word};
pub(crate) use self::wakes::Wakes;
pub(crate) use self::watch::{Look, Watch, Watched, Watching};
