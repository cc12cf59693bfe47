//! What the lock around a service promises, over real connections: clients that hang up, crowds, pipelines, streams.

#![cfg(all(feature = "axum", not(latchwork_loom)))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "it is made for more than this")]
mod support;

mod client;
mod server;

mod around;
mod bodies;
mod crowd;
mod detached;
mod hangups;
mod modes;
mod pipelined;
mod plain;
mod refused;
mod stacked;
mod streams;
