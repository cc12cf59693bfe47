//! The bodies that a layer answers with.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

type BoxError = Box<dyn Error + Send + Sync>;

pin_project! {
    /// The body of a response that came through a layer: the service's own, and with it the key where that is
    /// [held until the body's end](super::KeyedLockLayer::hold_until_body_end); or that of a refusal.
    ///
    /// The key is released when the body has come to its end, failed, or is dropped, whatever is first.
    pub struct HeldBody<B> {
        #[pin]
        body: Either<B>,
        // Behind the body: it goes last.
        hold: Option<Box<dyn Send>>,
    }
}

pin_project! {
    #[project = EitherProj]
    enum Either<B> {
        Passed { #[pin] body: B },
        /// Not the service's: a refusal's, or the nothing that is left when its own has ended.
        Other { #[pin] body: Body },
    }
}

impl<B: http_body::Body> HeldBody<B> {
    /// The service's body, and what is to be kept until its end.
    pub(super) fn passed(body: B, hold: Option<Box<dyn Send>>) -> Self {
        let hold = hold.filter(|_| !body.is_end_stream());
        Self { body: Either::Passed { body }, hold }
    }

    pub(super) fn refused(body: Body) -> Self {
        Self { body: Either::Other { body }, hold: None }
    }
}

impl<B> http_body::Body for HeldBody<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let frame = ready!(match this.body.as_mut().project() {
            EitherProj::Passed { body } => body.poll_frame(cx).map_err(Into::into),
            EitherProj::Other { body } => body.poll_frame(cx).map_err(Into::into),
        });
        if !matches!(frame, Some(Ok(_))) && this.hold.is_some() {
            // Before the key: it may keep what it has though it is at its end.
            this.body.set(Either::Other { body: Body::empty() });
            *this.hold = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Either::Passed { body } => body.is_end_stream(),
            Either::Other { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Either::Passed { body } => body.size_hint(),
            Either::Other { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for HeldBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldBody").field("holds", &self.hold.is_some()).finish_non_exhaustive()
    }
}
