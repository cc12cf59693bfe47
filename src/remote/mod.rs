//! stub
#![cfg_attr(not(test), expect(dead_code, reason = "the engine comes next"))]
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

pub(crate) use self::batch::{Answers, Batch, Busy, Grant, Held, KeyBytes, Take};
pub(crate) use self::event::{Event, Ticket};
pub(crate) use self::machine::Machine;
pub(crate) use self::rules::Rules;
