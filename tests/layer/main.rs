//! What the lock around a service promises, claim by claim, with services that are polled by hand.

#![cfg(all(feature = "axum", not(latchwork_loom)))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "it is made for more than this")]
mod support;

mod service;

mod body;
mod coalesce;
mod detached;
mod drops;
mod held;
mod keys;
mod modes;
mod panics;
mod plain;
mod ready;
mod refused;
mod remote;
