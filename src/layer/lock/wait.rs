//! A request that waits for its key.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::outcome::Outcome;
use super::span::Span;
use super::stats::LayerStats;
use crate::provider::{HeldLock, LockError};

pin_project! {
    /// A request that waits for its key.
    pub(super) struct Wait<W> {
        // In front of the request: that it is given up is noted before others get its turn.
        if_dropped: IfDropped,
        #[pin]
        granted: W,
    }
}

/// Notes an outcome when it is dropped, unless the wait is over.
struct IfDropped {
    stats: LayerStats,
    span: Span,
    outcome: Option<Outcome>,
}

impl<G: HeldLock, W: Future<Output = Result<G, LockError>>> Wait<W> {
    /// Creates a wait that counts as `if_dropped` if it is dropped before its end.
    pub(super) fn new(granted: W, stats: &LayerStats, span: &Span, if_dropped: Outcome) -> Self {
        let (stats, span) = (stats.clone(), span.clone());
        Self { if_dropped: IfDropped { stats, span, outcome: Some(if_dropped) }, granted }
    }

    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<G, LockError>> {
        let this = self.project();
        let granted = this.granted.poll(cx);
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
