//! A request that waits for its key.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

use super::outcome::Outcome;
use super::span::Span;
use super::stats::LayerStats;
use crate::provider::{HeldLock, LockError};

/// What the log says of a provider that does not answer.
#[derive(Debug, thiserror::Error)]
#[error("the lock provider did not answer in time")]
struct NoAnswer;

pin_project! {
    /// A request that waits for its key.
    pub(super) struct Wait<W> {
        // In front of the request: that it is given up is noted before others get its turn.
        if_dropped: IfDropped,
        #[pin]
        granted: W,
        limit: Duration,
        // Made at the first poll that has to wait.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

/// Notes an outcome when it is dropped, unless the wait is over.
struct IfDropped {
    stats: LayerStats,
    span: Span,
    outcome: Option<Outcome>,
}

impl<G: HeldLock, W: Future<Output = Result<G, LockError>>> Wait<W> {
    /// Creates a wait that counts as `if_dropped` if it is dropped before its end. If the provider does not answer
    /// within `limit`, it counts as unavailable: a provider that hangs must not keep the request for ever.
    pub(super) fn new(
        granted: W,
        stats: &LayerStats,
        span: &Span,
        if_dropped: Outcome,
        limit: Duration,
    ) -> Self {
        let (stats, span) = (stats.clone(), span.clone());
        let if_dropped = IfDropped { stats, span, outcome: Some(if_dropped) };
        Self { if_dropped, granted, limit, timer: None }
    }

    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<G, LockError>> {
        let this = self.project();
        let mut granted = this.granted.poll(cx);
        // Without a runtime there is no timer.
        if granted.is_pending() && (this.timer.is_some() || Handle::try_current().is_ok()) {
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(*this.limit)));
            granted = timer.as_mut().poll(cx).map(|()| Err(LockError::Unavailable(NoAnswer.into())));
        }
        if granted.is_ready() {
            this.if_dropped.outcome = None;
        }
        // The lock may be lost already: while the answer was on its way, or before the task was polled.
        granted.map(|granted| {
            granted.and_then(|guard| if guard.is_lost() { Err(LockError::Lost) } else { Ok(guard) })
        })
    }
}

impl Drop for IfDropped {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome {
            self.stats.add(outcome);
            self.span.outcome(outcome);
        }
    }
}
