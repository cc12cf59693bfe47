//! The lock for each user: one layer in front of the handler, and its counters.

use std::sync::Arc;

use latchwork::extract::{PathParam, path_param};
use latchwork::layer::{KeyedLockLayer, LayerStats, ModeSwitch, Outcome};
use latchwork::pg::PgKeyedLock;
use latchwork::provider::AnyLocks;
use latchwork::{KeyedLock, TimedOut};
use sqlx::PgPool;

use crate::Failure;
use crate::service::GRACE;

pub(crate) struct Guard {
    /// The locks of this process. Leases have them in front.
    pub(crate) local: Arc<KeyedLock<String>>,
    leases: Option<PgKeyedLock<String>>,
    pub(crate) mode: ModeSwitch,
    pub(crate) layer: KeyedLockLayer<String, PathParam, AnyLocks<String>>,
}

impl Guard {
    /// One plan at a time for each user: in this process, or with a database in all processes that share it. A second click is
    /// refused at once, with 409. The key is released with the handler's future: on return, `?` and panic. If the client hangs
    /// up, that is at once, or with a database when the handler returns.
    pub(crate) async fn new(mode: ModeSwitch, database_url: Option<&str>) -> Result<Self, Failure> {
        let (locks, local, leases) = match database_url {
            None => {
                let local = Arc::new(KeyedLock::builder().name("users").publish_times().build());
                (AnyLocks::new(local.clone()), local, None)
            }
            Some(url) => {
                let pool = PgPool::connect(url).await?;
                let builder = PgKeyedLock::builder(&pool).namespace("meal plan users").name("users");
                builder.create_table().await?;
                let leases = builder.connect().await?;
                (AnyLocks::new(leases.clone()), leases.local().clone(), Some(leases))
            }
        };
        let layer = KeyedLockLayer::new(locks, path_param("user")).name("plans").mode(&mode);
        // So a commit that is under way when its client hangs up ends before another process reads. In one process the
        // statements of the store follow each other on one connection.
        let layer = layer.detached(leases.is_some());
        Ok(Self { local, leases, mode, layer })
    }

    pub(crate) fn counts(&self) -> LayerStats {
        self.layer.stats()
    }

    /// Waits until no key is held. Leases are refused from then on.
    pub(crate) async fn stop(&self) -> Result<(), TimedOut> {
        self.local.drained().timeout(GRACE).await?;
        if let Some(leases) = &self.leases {
            leases.shut_down().await;
        }
        Ok(())
    }
}

/// Who passed and would have been refused, in words; `None` if nobody.
pub(crate) fn observed(counts: &LayerStats) -> Option<String> {
    let counted =
        Outcome::ALL.iter().copied().filter(|outcome| outcome.is_observed() && counts.of(*outcome) > 0);
    let each: Vec<_> = counted.map(|outcome| format!("{} {}", counts.of(outcome), outcome.name())).collect();
    (!each.is_empty()).then(|| format!("enforced, it would have held up: {}", each.join(", ")))
}
