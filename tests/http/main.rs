//! What services say over HTTP.

#![cfg(all(feature = "axum", not(latchwork_loom)))]

mod support;

mod answers;
mod cards;
mod etags;
mod rendered;
mod tagged;
