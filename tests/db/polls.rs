//! A future that is dropped after a number of polls.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

struct UpTo<F> {
    future: Pin<Box<F>>,
    left: u32,
}

impl<F: Future> Future for UpTo<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(out) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Some(out));
        }
        self.left -= 1;
        if self.left == 0 { Poll::Ready(None) } else { Poll::Pending }
    }
}

/// Polls the future at most this number of times, each time when it has asked for it. Returns `None` if it was not
/// ready by then, and has dropped it.
pub(crate) async fn up_to<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    assert!(polls > 0);
    pin!(UpTo { future: Box::pin(future), left: polls }).await
}
