#![deny(unused_must_use)]

use latchwork::{Busy, RetryPolicy};

fn main() {
    let policy = RetryPolicy::new();
    policy.retry_on_conflict(async |_| Ok::<_, Busy>(1), Ok, async |_| Ok(()));
    policy.run(async |_| Ok::<_, Busy>(()));
    policy.session();
}
