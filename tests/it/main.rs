//! What the crate promises, claim by claim.

#![cfg(not(latchwork_loom))]

mod history;
mod support;

mod claims;
mod face;
mod flight;
mod keyed;
mod locks;
mod retry;
mod versioned;
mod wait;
mod ways;
