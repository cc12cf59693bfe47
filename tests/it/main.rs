//! What the crate promises, claim by claim.

#![cfg(not(latchwork_loom))]

mod history;
mod support;

mod allocations;
mod claims;
#[cfg(feature = "tracing")]
mod events;
mod face;
mod flight;
mod keyed;
mod locks;
mod retry;
mod versioned;
mod wait;
mod ways;
