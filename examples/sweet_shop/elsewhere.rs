//! Other services, whose answers take some milliseconds.

use std::time::Duration;

/// Returns today's price of a sweet.
pub(crate) async fn price_today(list_price_cents: i64) -> i64 {
    answer().await;
    list_price_cents
}

/// Has the warehouse confirm that a delivery has come.
pub(crate) async fn confirm_delivery() {
    answer().await;
}

async fn answer() {
    tokio::time::sleep(Duration::from_micros(fastrand::u64(2_000..4_000))).await;
}
