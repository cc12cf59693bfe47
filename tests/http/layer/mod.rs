//! What the lock around a service promises, claim by claim, with services that are polled by hand.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

pub(crate) mod remote;
pub(crate) mod service;

mod body;
mod bounded;
mod coalesce;
mod detached;
mod drops;
mod ends;
mod extracted;
mod held;
mod keys;
mod lost;
mod min_hold;
mod modes;
mod panics;
mod plain;
mod ready;
mod refused;
mod typed;
