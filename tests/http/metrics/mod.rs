//! What is published, as Prometheus gets it: real exposition text, held against the documentation, the
//! core's own counters, and the alert rules of an example.

mod exposition;
mod promql;
mod sales;
mod scene;
#[allow(dead_code, reason = "it serves the tests of databases, too")]
mod table;

mod alerts;
mod figures;
