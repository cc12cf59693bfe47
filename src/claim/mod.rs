//! Unique names: claimed before they are stored, and free again if storing fails.

// claims    Claims: the public calls
// guard     Claim: a name that is claimed
// names     the names that are taken
// taken     the errors
// suffixes  make another name of a taken one
//
// A table of names, divided among locks that are held for a few instructions. A name is *claimed* while a guard for it
// lives. It is *kept* once the guard was committed or the name was marked as taken. It can be both, and is free when it
// is neither.
//
// While a name is claimed, the table and the guard share it: so the guard can show it, and a claim makes no copy. The
// box in which they share it is used again for another name. A name that is only kept lies in the table itself.

mod claims;
mod guard;
mod names;
mod suffixes;
mod taken;

pub use self::claims::Claims;
pub use self::guard::{Claim, UniqueClaim};
pub use self::suffixes::{numbered_suffixes, random_suffixes};
pub use self::taken::{ClaimExhausted, Taken};
