//! What is made again after which errors, what is counted of it, and what is answered if nothing helps.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use latchwork::publish::Publisher;
use latchwork::sql::transaction_verdict;
use latchwork::web::Problem;
use latchwork::{
    RetryPolicy,
    retry::{Budget, ByFunction, RetryCounts, RetryError, RetryStats},
    verdict::{RetryKind, Verdict},
};

use crate::store::StoreError;

/// What an error means for a retry. Each write is one transaction, which is made again as a whole.
pub(crate) fn verdict(error: &StoreError) -> Verdict {
    match error {
        StoreError::Stale { .. } | StoreError::Overtaken => Verdict::Retry(RetryKind::VersionConflict),
        StoreError::NoCard | StoreError::NoProfile => Verdict::Stop,
        StoreError::Sql(error) => transaction_verdict(error),
    }
}

type Policy = RetryPolicy<ByFunction<StoreError>>;

/// A policy for each way to write, with counters of its own.
pub(crate) struct Policies {
    pub(crate) create: Policy,
    pub(crate) edit: Policy,
    pub(crate) count_view: Policy,
    pub(crate) put_profile: Policy,
    /// By the policies' names.
    stats: Vec<(&'static str, Arc<RetryStats>)>,
    /// Cards that were not made since no slug was free.
    slug_failures: AtomicU64,
}

/// When the file is locked for long, most requests fail at once instead of waiting four times each.
/// Conflicts and taken slugs cost nothing.
static FILE: Budget = Budget::new(500);

impl Policies {
    pub(crate) fn new() -> Self {
        let mut stats = Vec::new();
        let ms = Duration::from_millis;
        let mut policy = |name| {
            let own = Arc::new(RetryStats::new());
            let policy = RetryPolicy::classified_by(verdict).name(name).base_delay(ms(5)).max_delay(ms(100));
            let policy = policy.budget(&FILE).stats(&own);
            stats.push((name, own));
            policy
        };
        Self {
            create: policy("create a card").retry_kind(RetryKind::UniqueViolation, true),
            edit: policy("edit a card").retry_kind(RetryKind::VersionConflict, false),
            count_view: policy("count a view"),
            put_profile: policy("put a profile").retry_kind(RetryKind::VersionConflict, false),
            stats,
            slug_failures: AtomicU64::new(0),
        }
    }

    /// Counts a card that was not made for want of a slug.
    pub(crate) fn no_slug(&self, error: RetryError<StoreError>) -> Problem {
        if verdict(&error.error) == Verdict::Retry(RetryKind::UniqueViolation) {
            self.slug_failures.fetch_add(1, Ordering::Relaxed);
            return try_later("no slug was free for this name");
        }
        error.into()
    }

    /// How the writes ended that were asked for.
    pub(crate) fn counts(&self) -> RetryCounts {
        self.stats.iter().map(|(_, stats)| stats.counts()).sum()
    }

    /// How many cards were not made for want of a slug.
    pub(crate) fn slug_failures(&self) -> u64 {
        self.slug_failures.load(Ordering::Relaxed)
    }

    /// Adds the counters of every policy, edits that were refused included.
    pub(crate) fn publish(&self, publisher: Publisher) -> Publisher {
        let publisher = publisher.budget("file", &FILE);
        self.stats.iter().fold(publisher, |publisher, (name, stats)| publisher.retry_stats(name, stats))
    }
}

fn try_later(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_detail(detail)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let verdict = verdict(&error);
        match error {
            StoreError::Stale { expected, current } => Self::conflict(expected, current),
            StoreError::Overtaken => try_later(error.to_string()),
            StoreError::NoCard | StoreError::NoProfile => {
                Self::new(StatusCode::NOT_FOUND).with_detail(error.to_string())
            }
            StoreError::Sql(sqlx::Error::PoolTimedOut) => try_later("too many are writing"),
            StoreError::Sql(error) => match verdict {
                // The naive handlers' lost races: there are many, and they are counted.
                Verdict::Retry(RetryKind::UniqueViolation) => Self::new(StatusCode::INTERNAL_SERVER_ERROR),
                Verdict::Retry(_) => try_later("others have the file"),
                _ => {
                    eprintln!("the store failed: {error}");
                    Self::new(StatusCode::INTERNAL_SERVER_ERROR)
                }
            },
        }
    }
}

/// As a problem.
impl IntoResponse for StoreError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
