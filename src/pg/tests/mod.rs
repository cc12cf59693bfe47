//! What the statements do on a real server, which the tests start themselves.

mod batches;
#[path = "../../../tests/db/cluster.rs"]
#[allow(dead_code, reason = "the tests over transactions use all of it")]
mod cluster;
mod databases;
mod history;
#[path = "../../../tests/db/server.rs"]
mod server;
mod tables;
mod verified;

use std::time::Duration;

use self::databases::{database, key, process};
use crate::remote::{Answers, Batch, Busy, Grant, Held, Take};

/// Longer than any test.
const LEASE: Duration = Duration::from_secs(600);
