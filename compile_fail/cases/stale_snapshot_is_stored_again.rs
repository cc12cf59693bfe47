use latchwork::{Busy, RetryPolicy};

struct Snapshot;

async fn store(_: Snapshot) -> Result<(), Busy> {
    Ok(())
}

async fn save(loaded: Snapshot) {
    let policy = RetryPolicy::new();
    let _ = policy.run(|_| store(loaded)).await;
    let loaded = Snapshot;
    let change = policy.retry_on_conflict(async |_| Ok(()), |()| Ok(loaded), |loaded| store(loaded));
    let _ = change.run().await;
}

fn main() {
    drop(save(Snapshot));
}
