//! The locks of a worker: its own, or leases in the database. A sale uses them in the same way.

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use latchwork::KeyedLock;
use latchwork::keyed::OwnedKeyedGuard;
use latchwork::pg::{PgGuard, PgKeyedLock, PgLockError, VerifyError};
use latchwork::provider::LockError;
use sqlx::{PgConnection, PgPool};

/// Which locks the workers have.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Side {
    Naive,
    Guarded,
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Naive => "naive",
            Self::Guarded => "guarded",
        }
    }
}

/// Short, so that another process takes over soon. A service has 10 seconds or more.
const LEASE: Duration = Duration::from_secs(1);

/// Short, as a sale takes some milliseconds.
const POLL: Duration = Duration::from_millis(10);

/// By sweet.
pub(crate) enum Locks {
    Own(Arc<KeyedLock<i64>>),
    Leases(PgKeyedLock<i64>),
}

pub(crate) enum Held {
    Own(#[expect(dead_code, reason = "held until it is dropped")] OwnedKeyedGuard<i64>),
    Lease(PgGuard<i64>),
}

impl Locks {
    pub(crate) async fn new(side: Side, pool: &PgPool) -> Result<Self, PgLockError> {
        if side == Side::Naive {
            return Ok(Self::Own(Arc::default()));
        }
        let builder = PgKeyedLock::builder(pool).namespace("sweets").lease(LEASE).poll_interval(POLL);
        builder.create_table().await?;
        Ok(Self::Leases(builder.connect().await?))
    }

    pub(crate) async fn lock(&self, sweet: i64) -> Result<Held, LockError> {
        Ok(match self {
            Self::Own(locks) => Held::Own(locks.lock_owned(sweet).await),
            Self::Leases(locks) => Held::Lease(locks.lock_owned(sweet).await?),
        })
    }

    /// Returns the number of grants, and of messages to the database.
    pub(crate) fn counts(&self) -> (u64, u64) {
        match self {
            Self::Own(locks) => (locks.counts().acquired, 0),
            Self::Leases(locks) => {
                let counts = locks.stats().counts();
                (counts.granted, counts.batches)
            }
        }
    }

    /// Releases what is held. Other processes need not wait for the ends of the leases.
    pub(crate) async fn shut_down(&self) {
        if let Self::Leases(locks) = self {
            locks.shut_down().await;
        }
    }
}

impl Held {
    /// Makes sure that the transaction writes as the holder. A lock of the process itself has nothing to show for that.
    pub(crate) async fn verify(&self, tx: &mut PgConnection) -> Result<(), VerifyError> {
        match self {
            Self::Own(_) => Ok(()),
            Self::Lease(guard) => guard.verify(tx).await,
        }
    }

    /// Returns the number of the grant, if it means something to other processes.
    pub(crate) fn fence(&self) -> Option<u64> {
        match self {
            Self::Own(_) => None,
            Self::Lease(guard) => Some(guard.fence().get()),
        }
    }
}
