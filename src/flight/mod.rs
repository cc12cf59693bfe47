//! One call for all callers that ask for the same thing at the same time.

// single    SingleFlight: the public calls
// join      Join: the pending call for one key
// lead      Leader: the guard of the call that does the work
// role      what a call gets
// state     one flight: its lead, its line and its value
// table     the flights that are under way
// counts    what was counted
//
// # The idea
//
// **The lead is a lock.** A flight has one permit, held by the call that does the work. The others wait for it in the
// same line as at every lock. Only a value ends the flight: then all of them are woken, and each returns a clone. If the
// leader goes without a value, the permit goes back and the next call in the line is notified. The others stay where
// they are.
//
// So after an abort one call does the work, also when the work does not suspend. When n calls fail one after the other,
// they are woken n times in all.
//
// **No call is handed the lead.** A call that was notified holds nothing until it runs. It may never be polled again, if
// it is kept in a `select!` whose other branch runs for long. Then a newcomer takes the lead, or the helper notifies the
// next call in the line. The rules are those of the waiting core: how often a newcomer may pass, and how long a notified call
// is expected to come.
//
// # The states
//
//               finish: out of the table, then the value
//   ┌──── led ──────────────────────────────────────────────► landed
//   │     ▲ │
//   │     │ │ drop of the leader; calls wait
//   │     │ ▼
//   │    free ─┐
//   │          │ the last call gives up: out of the table
//   └──────────┴────────────────────────────────────────────► gone
//     drop of the leader; no call waits
//
// - Caller: finds the key's flight under the shard's lock, or puts a new one in. So there is one at a time. A call that
//   puts a flight in leads. A call that finds one takes the lead if it is free and the policy lets it. Otherwise it has
//   *joined*: it keeps the flight, enlisted or not, and that flight's value is its answer, also when it looks late.
// - Leader that finishes: takes the entry out of the table. If no other call keeps the flight by then, none ever will,
//   and the value goes back as it came: neither cloned nor moved to the heap. Otherwise it stores the value and
//   dismisses the line, batch by batch: these calls are no longer expected to come.
// - Leader that goes: gives the permit back and notifies the front of the line. If no call has joined, it takes the
//   entry out.
// - Call that joined, when it runs: returns the value if there is one. Otherwise it takes the lead if that is free and it
//   is its turn. Otherwise it waits on.
// - Call that gives up: leaves the line, which notifies the next one if this one was notified. The last call to leave a
//   flight without a leader takes the entry out.
//
// The `Arc` of a flight counts the calls that keep it. It is cloned, and dropped by calls that are on a flight in the
// table, under the shard's lock only. So a count of two under that lock means: the table and this call.
//
// # Why no wake-up is lost
//
// 1. The value comes before the call looks at the table. The entry is out by then: the call begins a flight.
// 2. The value comes after the call joined, and before it enlists. The call looks for the value under the flight's lock
//    before it enlists, and finds it.
// 3. The value comes after the call enlisted. The leader finds it in the line and wakes it. If the batch of wakers runs
//    full, the leader comes back for the rest, whatever a waker does.
// 4. The leader goes, and a call has joined. The permit is back, and the line is a lock's line: the core's cases hold,
//    and they all end with a call that leads. A call that is not enlisted yet finds the lead free when it enlists.
// 5. The leader goes, and a call is about to join. Both do so under the shard's lock. Either the call comes first, and
//    the leader leaves the entry there; or the leader does, and the call begins a flight.
// 6. The notified call is silent. While any call is notified and another one waits, the helper looks at the line.
//
// All of this is ordered by three locks, taken in this order: the shard's, the flight's, the line's. The helper takes
// the line's alone. The flight's lock publishes the value.
//
// While the first leader works no call is notified, so the helper has nothing to look at. A flight that is not aborted
// does not start it.
//
// # What runs where
//
// Under a shard's lock: `Eq` of keys whose hashes are equal; a panic there changes nothing. All other user code runs
// outside: the work, `Hash` and conversions of keys, `Clone` and `Drop` of values, `Drop` of keys, wakers. A panic in one
// of them stays in the call that ran it:
//
// | what panics | where | what the others see |
// |---|---|---|
// | the work | in its leader | aborted: one of them leads |
// | a clone of the value | in the call that returns it | their own clones |
// | a key's `Hash`, `Eq` or conversion | in the caller | nothing |
// | the stored key's `Drop` | in the call that ends the flight, when all were woken | the value |
// | a waker | in the call that wakes it: a leader, or one that gives up | the same as without the panic |
// | a value's `Drop` | in the call that drops it last | nothing |

mod counts;
mod join;
mod lead;
mod role;
mod single;
mod state;
mod table;

pub use self::counts::FlightCounts;
pub use self::join::Join;
pub use self::lead::Leader;
pub use self::role::{Flown, Role};
pub use self::single::SingleFlight;
