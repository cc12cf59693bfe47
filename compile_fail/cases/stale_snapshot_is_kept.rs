use latchwork::{Busy, RetryPolicy};

struct Snapshot(u32);

async fn save() {
    let policy = RetryPolicy::new();
    let mut kept = None;
    let change = policy.retry_on_conflict(
        async |_| Ok(Snapshot(1)),
        |loaded| {
            let number = kept.get_or_insert(&loaded).0;
            Ok(number + 1)
        },
        async |_: u32| Ok::<_, Busy>(()),
    );
    let _ = change.run().await;
}

fn main() {
    drop(save());
}
