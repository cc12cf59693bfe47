//! What the crate does in a service: layers, answers, metrics and spans.

#![cfg(not(latchwork_loom))]

#[path = "../it/support.rs"]
#[allow(dead_code, reason = "it serves the other binary, too")]
mod support;

mod answers;
mod grpc;
mod layer;
mod metrics;
mod served;
mod spans;
