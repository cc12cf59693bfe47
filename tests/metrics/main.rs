//! What is published, as Prometheus gets it: real exposition text, held against the documentation, the
//! core's own counters, and the alert rules of an example.

#![cfg(all(feature = "metrics", feature = "axum", not(latchwork_loom)))]

#[path = "../it/support.rs"]
#[allow(dead_code)] // It is made for more than this.
mod support;

mod exposition;
mod promql;
mod scene;
mod table;

mod alerts;
mod figures;
