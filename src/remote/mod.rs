//! The logic of leases on locks that another machine keeps: what to ask of it, and what its answers mean.
//!
//! It knows no database, no socket and no clock: requests, answers and the time go in, batches of statements, events and the
//! time of the next look come out. So all that can happen on a network can be played to it in a test.

mod batch;

pub(crate) use self::batch::{Answers, Batch, Busy, Grant, Held, KeyBytes, Take};
