//! What is tried again after which errors.

use std::sync::Arc;
use std::time::Duration;

use latchwork::RetryPolicy;
use latchwork::retry::{ByFunction, RetryCounts, RetryStats};

use super::error::ShopError;

type Policy = RetryPolicy<ByFunction<ShopError>>;

pub(crate) struct Policies {
    /// For statements by themselves.
    pub(crate) statement: Policy,
    /// For whole transactions.
    pub(crate) transaction: Policy,
    stats: Arc<RetryStats>,
}

impl Policies {
    pub(crate) fn new() -> Self {
        let stats = Arc::new(RetryStats::new());
        let ms = Duration::from_millis;
        let policy = |verdict, name| {
            let policy = RetryPolicy::classified_by(verdict).name(name).stats(&stats);
            policy.max_attempts(10).base_delay(ms(2)).max_delay(ms(50))
        };
        Self {
            statement: policy(ShopError::of_statement, "statements"),
            transaction: policy(ShopError::of_transaction, "transactions"),
            stats,
        }
    }

    pub(crate) fn counts(&self) -> RetryCounts {
        self.stats.counts()
    }
}
