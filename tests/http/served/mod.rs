//! What the layers around a service promise, over real connections: clients that hang up, crowds, pipelines, streams.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

pub(crate) mod client;
pub(crate) mod server;

mod around;
mod bodies;
mod bounded;
mod coalesce;
mod crowd;
mod detached;
mod hangups;
mod headers;
mod modes;
mod pipelined;
mod plain;
mod refused;
mod stacked;
mod streams;
mod unread;
