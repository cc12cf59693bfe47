//! One `tracing` span around the wait for a key and the hold of it. Without the feature it is nothing.

#[cfg(feature = "tracing")]
pub(super) use self::traced::Span;
#[cfg(not(feature = "tracing"))]
pub(super) use self::untraced::Span;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

#[cfg(feature = "tracing")]
mod traced {
    use std::fmt;

    use tracing::field::Empty;

    use super::super::counts::Outcome;
    use crate::fence::Fence;

    /// What filters know it by, whatever this module is called.
    const TARGET: &str = "latchwork::axum";

    #[derive(Clone, Debug)]
    pub(crate) struct Span(tracing::Span);

    impl Span {
        /// A span for a request at the layer of this name, with the key if there is a way to show it.
        pub(crate) fn new(layer: &'static str, key: Option<impl fmt::Display>) -> Self {
            let key = key.map(tracing::field::display);
            Self(
                tracing::debug_span!(target: TARGET, "keyed_lock", layer, key, fence = Empty, outcome = Empty),
            )
        }

        pub(crate) fn none() -> Self {
            Self(tracing::Span::none())
        }

        pub(crate) fn fence(&self, fence: Fence) {
            self.0.record("fence", fence.get());
        }

        /// What came of the request. That it would have been held up is worth a warning of its own.
        pub(crate) fn outcome(&self, outcome: Outcome) {
            let name = outcome.name();
            self.0.record("outcome", name);
            if outcome.is_observed() {
                self.0.in_scope(|| tracing::warn!(target: TARGET, outcome = name, "would have been held up"));
            }
        }

        pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
            // Not by what `in_scope` returns: if a subscriber panics when the span is left, that is forgotten, key
            // and all (rust-lang/rust#47949).
            let mut result = None;
            self.0.in_scope(|| result = Some(f()));
            result.expect("it ran just now")
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod untraced {
    use std::fmt;

    use super::super::counts::Outcome;
    use crate::fence::Fence;

    #[derive(Clone, Debug)]
    pub(crate) struct Span;

    impl Span {
        pub(crate) fn new(_: &'static str, _: Option<impl fmt::Display>) -> Self {
            Self
        }

        pub(crate) fn none() -> Self {
            Self
        }

        pub(crate) fn fence(&self, _: Fence) {}

        pub(crate) fn outcome(&self, _: Outcome) {}

        pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
            f()
        }
    }
}

pin_project! {
    /// A future that is polled inside a span.
    pub(super) struct Spanned<F> {
        #[pin]
        pub(super) future: F,
        pub(super) span: Span,
    }
}

impl<F: Future> Future for Spanned<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.span.run(|| this.future.poll(cx))
    }
}
