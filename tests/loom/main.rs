//! Loom models of the shipped code, each named after the claim it checks.
//!
//! `.ci/loom` runs them, and runs them again with each seeded bug, which one of them must catch.
#![cfg(latchwork_loom)]
#![allow(clippy::unwrap_used, reason = "a panic is how a model fails")]

mod claims;
mod flight;
mod keyed;
mod locks;
mod retry;
mod stamps;
mod support;
mod versions;
mod versions_map;
mod waiting;
