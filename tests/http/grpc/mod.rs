//! Clients of gRPC, tonic's, in front of services of tonic's behind the crate's layers.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod kitchen;

mod calls;
mod media;
mod refused;
mod written;
