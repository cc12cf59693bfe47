//! One `tracing` span around the wait for a key and the hold of it. Without the feature it does nothing.

#[cfg(feature = "tracing")]
pub(super) use self::traced::{Outages, Span};
#[cfg(not(feature = "tracing"))]
pub(super) use self::untraced::{Outages, Span};

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

#[cfg(feature = "tracing")]
mod traced {
    use std::error::Error;
    use std::fmt;
    use std::sync::Arc;
    use std::time::Instant;

    use tracing::field::Empty;

    use super::super::outcome::Outcome;
    use super::causes::Causes;
    use crate::fence::Fence;
    use crate::throttle::Throttle;

    /// The name for filters, which does not change when this module moves.
    const TARGET: &str = "latchwork::layer";

    /// Limits the errors of one layer about its provider: while that is down, each request meets it.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Outages(Arc<Throttle>);

    #[derive(Clone, Debug)]
    pub(crate) struct Span(tracing::Span);

    impl Span {
        /// Creates a span for a request at the layer of this name, and at the lock of that one. It has the key if there
        /// is a way to show it.
        pub(crate) fn new(
            layer: Option<&'static str>,
            lock: Option<&'static str>,
            key: Option<impl fmt::Display>,
        ) -> Self {
            let key = key.map(tracing::field::display);
            Self(tracing::debug_span!(
                target: TARGET,
                "keyed_lock",
                layer = layer.unwrap_or("requests"),
                lock,
                key,
                fence = Empty,
                outcome = Empty
            ))
        }

        pub(crate) fn none() -> Self {
            Self(tracing::Span::none())
        }

        pub(crate) fn fence(&self, fence: Fence) {
            self.0.record("fence", fence.get());
        }

        /// Records the outcome. A request that was only observed is worth an event of its own.
        pub(crate) fn outcome(&self, outcome: Outcome) {
            let name = outcome.name();
            self.0.record("outcome", name);
            if outcome.is_observed() {
                self.0.in_scope(|| {
                    tracing::debug!(target: TARGET, outcome = name, "the request would have waited or been refused");
                });
            }
        }

        /// Reports why the lock provider can't be reached: an error once in a while, during which `others` were held
        /// back.
        pub(crate) fn unavailable(&self, outages: &Outages, cause: &(dyn Error + 'static)) {
            let cause = tracing::field::display(Causes(cause));
            self.0.in_scope(|| match outages.0.pass(Instant::now()) {
                Some(others) => {
                    tracing::error!(target: TARGET, cause, others, "the lock provider is unavailable");
                }
                None => tracing::debug!(target: TARGET, cause, "the lock provider is unavailable"),
            });
        }

        /// Reports that the lock was lost while the request held it.
        pub(crate) fn lost(&self) {
            self.0.in_scope(|| tracing::warn!(target: TARGET, "the lock was lost while the request held it"));
        }

        pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
            // The result does not pass through `in_scope`: if a subscriber panics when the span is left, the result
            // would be forgotten, and the key in it never released (rust-lang/rust#47949).
            let mut result = None;
            self.0.in_scope(|| result = Some(f()));
            result.expect("it ran just now")
        }
    }
}

#[cfg(feature = "tracing")]
mod causes {
    use std::error::Error;
    use std::fmt;

    /// An error with the errors that caused it.
    pub(super) struct Causes<'a>(pub(super) &'a (dyn Error + 'static));

    impl fmt::Display for Causes<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", self.0)?;
            let mut source = self.0.source();
            while let Some(error) = source {
                write!(f, ": {error}")?;
                source = error.source();
            }
            Ok(())
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod untraced {
    use std::error::Error;
    use std::fmt;

    use super::super::outcome::Outcome;
    use crate::fence::Fence;

    #[derive(Clone, Debug, Default)]
    pub(crate) struct Outages;

    #[derive(Clone, Debug)]
    pub(crate) struct Span;

    impl Span {
        pub(crate) fn new(
            _: Option<&'static str>,
            _: Option<&'static str>,
            _: Option<impl fmt::Display>,
        ) -> Self {
            Self
        }

        pub(crate) fn none() -> Self {
            Self
        }

        pub(crate) fn fence(&self, _: Fence) {}

        pub(crate) fn outcome(&self, _: Outcome) {}

        pub(crate) fn unavailable(&self, _: &Outages, _: &(dyn Error + 'static)) {}

        pub(crate) fn lost(&self) {}

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
