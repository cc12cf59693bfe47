//! The bodies that a layer answers with.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::lost::{IsLost, Keep, unless_lost};
use crate::layer::box_error::BoxError;
use crate::provider::LockError;

pin_project! {
    /// The body of a response that came through a [`KeyedLockLayer`](super::KeyedLockLayer): the service's body, or
    /// that of a refusal.
    ///
    /// With [`hold_until_body_end`](super::KeyedLockLayer::hold_until_body_end) the key is released when the body has
    /// ended, has failed, or is dropped. If the lock is lost before, and the layer
    /// [aborts](super::KeyedLockLayer::on_lost), the body ends with [`LockError::Lost`].
    pub struct HeldBody<B> {
        #[pin]
        body: Either<B>,
        // Behind the body: fields are dropped in order, and the key goes last.
        hold: Option<Box<dyn Keep>>,
    }
}

pin_project! {
    #[project = EitherProj]
    enum Either<B> {
        Passed { #[pin] body: B },
        /// A refusal's body, or an empty one after the service's body has ended.
        Whole { body: Option<Bytes> },
    }
}

impl<B: Body> HeldBody<B> {
    /// Passes the service's body on, and keeps `hold` until its end.
    pub(super) fn passed(body: B, hold: Option<Box<dyn Keep>>) -> Self {
        let hold = hold.filter(|_| !body.is_end_stream());
        Self { body: Either::Passed { body }, hold }
    }

    pub(super) fn refused(body: Bytes) -> Self {
        Self { body: Either::Whole { body: Some(body).filter(|body| !body.is_empty()) }, hold: None }
    }
}

impl<B> Body for HeldBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let frame = match this.body.as_mut().project() {
            EitherProj::Passed { body } => {
                match ready!(unless_lost(this.hold.as_deref_mut(), cx, |cx| body.poll_frame(cx))) {
                    Ok(frame) => frame.map(|frame| frame.map_err(Into::into)),
                    Err(IsLost) => Some(Err(LockError::Lost.into())),
                }
            }
            EitherProj::Whole { body } => body.take().map(|body| Ok(Frame::data(body))),
        };
        if !matches!(frame, Some(Ok(_))) && this.hold.is_some() {
            // The body goes before the key: it may keep its values though it is at its end.
            this.body.set(Either::Whole { body: None });
            *this.hold = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Either::Passed { body } => body.is_end_stream(),
            Either::Whole { body } => body.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Either::Passed { body } => body.size_hint(),
            Either::Whole { body: Some(body) } => SizeHint::with_exact(body.len() as u64),
            // Servers write a length that is known into `Content-Length`. A refusal of gRPC has no body, so it has none.
            Either::Whole { body: None } => SizeHint::new(),
        }
    }
}

impl<B> fmt::Debug for HeldBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldBody").field("holds", &self.hold.is_some()).finish_non_exhaustive()
    }
}
