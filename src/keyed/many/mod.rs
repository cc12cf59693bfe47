//! Several keys as one: all or nothing, and nothing is held while the request waits.
//!
//! ```text
//! request   the pending acquisition
//! parts     its keys: taken, given back, left
//! hold      the guard
//! ```
//!
//! The request takes its keys in their order. When one is busy, it queues for that one, gives back those that it
//! took, and *stands aside* in their lines: it keeps its place there, and while it is the eldest the permits are
//! reserved for it. When it is notified it takes the busy key first, and then the others by their places. So
//!
//! - it holds nothing between two polls. One that is never polled again is given up in each line, like every
//!   notified waiter that does not come, but after a longer time;
//! - it grows older in all lines at once. So it has its turn beside any number of requests for single keys that hold
//!   them for less time than its reservations last.
//!
//! # Why two of them do not wait for each other
//!
//! A request that waits for its key *k* is expected only in the lines of its smaller keys. When it is refused at *k*, it
//! steps back from the lines of its greater keys. It keeps its ticket there, but no permits are reserved for it. So if
//! it stands in the way of another request, in the line of a key *j*, it waits for a key greater than *j*.
//!
//! Along such a chain the keys grow, so it ends: with a request that holds all its keys, or was notified. A notified
//! one that comes gets all its keys, or an older one refuses it at a smaller key. Then it steps back from all greater
//! ones. The tickets do not change until it is served, and each line has few older ones. So the eldest of the smallest
//! key goes first, and all are served.
//!
//! # Keys
//!
//! A key that was stored in its entry can't be taken out of it while others use the entry. It stays there, and the
//! request's place in the line keeps the entry in use.

mod hold;
mod parts;
mod request;

pub use self::hold::KeyedManyHold;
pub(super) use self::request::ManyKeys;

/// How many keys need no allocation.
const INLINE: usize = 8;
