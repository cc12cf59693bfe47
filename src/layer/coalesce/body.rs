//! [`SharedBody`]: the bodies that a layer answers with.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::layer::box_error::BoxError;

pin_project! {
    /// The body of an answer that came through a [`CoalesceLayer`](super::CoalesceLayer): the service's body, or one
    /// that other requests get as well.
    pub struct SharedBody<B> {
        #[pin]
        body: Either<B>,
    }
}

pin_project! {
    #[project = EitherProj]
    enum Either<B> {
        Passed { #[pin] body: B },
        Read { read: Read, then: Then<B> },
    }
}

/// What was read of a body, in the order in which it is sent.
#[derive(Clone, Default)]
pub(super) struct Read {
    pub(super) data: Bytes,
    /// A frame that was too long to be kept.
    pub(super) over: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

/// What comes after it.
pub(super) enum Then<B> {
    End,
    /// The end of an answer that can't have a body, such as a 204. Servers write a length that is known into
    /// `Content-Length`, which such an answer must not have (RFC 9110, section 8.6).
    NoBody,
    Failed(Option<BoxError>),
    Rest(Pin<Box<B>>),
}

impl Read {
    fn next(&mut self) -> Option<Frame<Bytes>> {
        for data in [&mut self.data, &mut self.over] {
            if !data.is_empty() {
                return Some(Frame::data(mem::take(data)));
            }
        }
        self.trailers.take().map(Frame::trailers)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length() == 0 && self.trailers.is_none()
    }

    fn length(&self) -> u64 {
        self.data.len() as u64 + self.over.len() as u64
    }
}

impl<B> SharedBody<B> {
    pub(super) fn passed(body: B) -> Self {
        Self { body: Either::Passed { body } }
    }

    pub(super) fn read(read: Read, then: Then<B>) -> Self {
        Self { body: Either::Read { read, then } }
    }

    /// Creates a body that is not the service's.
    pub(super) fn of(data: Bytes) -> Self {
        Self::read(Read { data, ..Read::default() }, Then::End)
    }
}

impl<B> Body for SharedBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let (read, then) = match self.project().body.project() {
            EitherProj::Passed { body } => return body.poll_frame(cx).map_err(Into::into),
            EitherProj::Read { read, then } => (read, then),
        };
        if let Some(frame) = read.next() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match then {
            Then::End | Then::NoBody => Poll::Ready(None),
            Then::Failed(error) => Poll::Ready(error.take().map(Err)),
            Then::Rest(rest) => rest.as_mut().poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Either::Passed { body } => body.is_end_stream(),
            Either::Read { read, then } => {
                read.is_empty()
                    && match then {
                        Then::End | Then::NoBody => true,
                        Then::Failed(error) => error.is_none(),
                        Then::Rest(rest) => rest.is_end_stream(),
                    }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (read, then) = match &self.body {
            Either::Passed { body } => return body.size_hint(),
            Either::Read { read, then } => (read, then),
        };
        let length = read.length();
        let rest = match then {
            // HTTP/1.1 sends trailers only after a body whose length is not known.
            Then::End if read.trailers.is_none() => return SizeHint::with_exact(length),
            Then::End | Then::NoBody => SizeHint::new(),
            // The length of a body that breaks off is not known.
            Then::Failed(_) => SizeHint::new(),
            Then::Rest(rest) => rest.size_hint(),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(length));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(length)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B> fmt::Debug for SharedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBody").finish_non_exhaustive()
    }
}
