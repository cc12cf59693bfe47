//! What the statements do on a real server, which the tests start themselves.

// What batches do does not depend on whether their statements are prepared.
#![allow(clippy::duplicate_mod, reason = "one source, compiled for each kind of message")]

#[path = "../../../tests/db/cluster.rs"]
#[allow(dead_code, reason = "the tests over transactions use all of it")]
mod cluster;
mod databases;
mod plans;
#[path = "../../../tests/db/server.rs"]
mod server;
mod tables;

use std::time::Duration;

use self::databases::{Process, database, key};
use crate::remote::{Answers, Batch, Busy, Grant, Held, Take};

#[path = "."]
mod as_text {
    use super::*;

    mod batches;
    mod history;
    mod verified;

    async fn process(database: &str, lease: Duration) -> Process {
        Process::connect(database, lease).await
    }
}

#[path = "."]
mod prepared {
    use super::*;

    mod batches;
    mod history;
    mod verified;

    async fn process(database: &str, lease: Duration) -> Process {
        Process::connect(database, lease).await.prepared().await
    }
}

#[path = "."]
mod mixed {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    mod history;

    async fn process(database: &str, lease: Duration) -> Process {
        static NEXT: AtomicUsize = AtomicUsize::new(0);

        let process = Process::connect(database, lease).await;
        if NEXT.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            process
        } else {
            process.prepared().await
        }
    }
}

/// Longer than any test.
const LEASE: Duration = Duration::from_secs(600);
