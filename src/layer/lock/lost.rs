//! [`OnLost`]: what happens to a request whose lock is lost while it runs. `Watch`: how the layer notices.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::HeaderValue;

use super::hold::HeldKey;
use super::outcome::Outcome;
use super::span::Span;
use super::stats::LayerStats;
use crate::provider::HeldLock;

/// What a [`KeyedLockLayer`](super::KeyedLockLayer) does with a request whose lock is lost while it runs.
///
/// # Examples
///
/// ```
/// use latchwork::layer::OnLost;
///
/// assert_eq!(OnLost::default(), OnLost::Continue);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum OnLost {
    /// The service goes on, and the client gets its answer. The layer logs a warning when it releases the key.
    #[default]
    Continue,
    /// The service is dropped at the point that it has reached, and the request is refused with 503.
    Abort,
}

/// The request must end: its lock is lost.
pub(super) struct IsLost;

/// What keeps a key, and may have to end the work under it.
pub(super) trait Keep: Send {
    /// Returns `true` if the lock is lost and the work must end. It is a look, which works although timers stand still.
    fn is_over(&mut self) -> bool;

    /// Waits until the work must end.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Polls `work`, unless it must end. It is not polled again after the loss, so it does not go on after a pause.
///
/// Work that is ready keeps its result: it was done before the loss was known.
pub(super) fn unless_lost<T>(
    mut keep: Option<&mut (impl Keep + ?Sized)>,
    cx: &mut Context<'_>,
    work: impl FnOnce(&mut Context<'_>) -> Poll<T>,
) -> Poll<Result<T, IsLost>> {
    if keep.as_mut().is_some_and(|keep| keep.is_over()) {
        return Poll::Ready(Err(IsLost));
    }
    match (work(cx), keep) {
        (Poll::Ready(done), _) => Poll::Ready(Ok(done)),
        (Poll::Pending, Some(keep)) => keep.poll_over(cx).map(|()| Err(IsLost)),
        (Poll::Pending, None) => Poll::Pending,
    }
}

/// What a layer that aborts knows of a request with its key. It counts the request at its end, since only then it is
/// known whether its lock was lost.
pub(super) struct Watch {
    stats: LayerStats,
    outcome: Outcome,
    /// `None` if the request is only observed.
    aborts: Option<Aborts>,
}

struct Aborts {
    /// Made when the work waits for the first time. It keeps a handle of the key, so it goes before the key.
    lost: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The media type of a request of gRPC: see `grpc_type`.
    grpc: Option<HeaderValue>,
}

impl Watch {
    /// Creates a watch that ends a request, whose media type is `grpc` if it is one of gRPC.
    pub(super) fn aborting(stats: LayerStats, outcome: Outcome, grpc: Option<HeaderValue>) -> Self {
        Self { stats, outcome, aborts: Some(Aborts { lost: None, grpc }) }
    }

    /// Creates a watch that only counts.
    pub(super) fn observing(stats: LayerStats, outcome: Outcome) -> Self {
        Self { stats, outcome, aborts: None }
    }

    /// Returns the media type of an aborted request if it is one of gRPC.
    pub(super) fn take_grpc(&mut self) -> Option<HeaderValue> {
        self.aborts.as_mut()?.grpc.take()
    }

    pub(super) fn is_over<G: HeldLock>(&mut self, key: &HeldKey<G::Key, G>) -> bool {
        let is_over = self.aborts.is_some() && key.is_lost();
        if is_over {
            self.outcome = Outcome::Lost;
        }
        is_over
    }

    pub(super) fn poll_over<G>(&mut self, key: &HeldKey<G::Key, G>, cx: &mut Context<'_>) -> Poll<()>
    where
        G: HeldLock<Key: 'static> + 'static,
    {
        let Some(aborts) = &mut self.aborts else { return Poll::Pending };
        let lost = aborts.lost.get_or_insert_with(|| {
            let key = key.clone();
            Box::pin(async move { key.lost().await })
        });
        lost.as_mut().poll(cx).map(|()| {
            aborts.lost = None;
            self.outcome = Outcome::Lost;
        })
    }

    /// Counts the request, at its end.
    pub(super) fn end(self, span: &Span, is_lost: impl FnOnce() -> bool) {
        let Self { stats, mut outcome, aborts } = self;
        // An answer that was ready before the loss was known was given to the client.
        if aborts.is_none() && is_lost() {
            outcome = Outcome::Lost.observed();
        }
        stats.add(outcome);
        span.outcome(outcome);
        span.run(|| drop(aborts));
    }
}
