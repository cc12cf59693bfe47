//! Answers that were read to their end, for several requests.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response, response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

type BoxError = Box<dyn Error + Send + Sync>;

/// An answer that can be shared.
pub(crate) struct Stored {
    parts: response::Parts,
    chunks: Vec<Bytes>,
    trailers: Option<HeaderMap>,
}

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
        /// The frames that were read already, and the rest of a body that was not read to its end.
        Read { read: VecDeque<Frame<Bytes>>, failed: Option<BoxError>, rest: Option<Pin<Box<B>>> },
    }
}

/// Reads an answer to its end. Returns an answer that is too long or breaks off as if it had not been read.
pub(super) async fn store<B>(answer: Response<B>, max_body: usize) -> Result<Stored, Response<SharedBody<B>>>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if answer.body().size_hint().lower() > max_body as u64 {
        return Err(answer.map(SharedBody::passed));
    }
    let (parts, body) = answer.into_parts();
    let mut body = Box::pin(body);
    let (mut read, mut length) = (VecDeque::new(), 0);
    while length <= max_body {
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            None => return Ok(Stored::new(parts, read)),
            Some(Ok(frame)) => {
                length += frame.data_ref().map_or(0, Bytes::len);
                read.push_back(frame);
            }
            Some(Err(error)) => {
                let body = Either::Read { read, failed: Some(error.into()), rest: None };
                return Err(Response::from_parts(parts, SharedBody { body }));
            }
        }
    }
    let body = Either::Read { read, failed: None, rest: Some(body) };
    Err(Response::from_parts(parts, SharedBody { body }))
}

impl Stored {
    fn new(parts: response::Parts, read: VecDeque<Frame<Bytes>>) -> Self {
        let (mut chunks, mut trailers) = (Vec::new(), None);
        for frame in read {
            match frame.into_data() {
                Ok(chunk) => chunks.push(chunk),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Self { parts, chunks, trailers }
    }

    /// Returns another copy of the answer.
    pub(super) fn response<B>(&self) -> Response<SharedBody<B>> {
        let data = self.chunks.iter().cloned().map(Frame::data);
        let read = data.chain(self.trailers.clone().map(Frame::trailers)).collect();
        let body = Either::Read { read, failed: None, rest: None };
        Response::from_parts(self.parts.clone(), SharedBody { body })
    }
}

impl<B> SharedBody<B> {
    pub(super) fn passed(body: B) -> Self {
        Self { body: Either::Passed { body } }
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
        let (read, failed, rest) = match self.project().body.project() {
            EitherProj::Passed { body } => return body.poll_frame(cx).map_err(Into::into),
            EitherProj::Read { read, failed, rest } => (read, failed, rest),
        };
        if let Some(frame) = read.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match (failed.take(), rest) {
            (Some(error), _) => Poll::Ready(Some(Err(error))),
            (None, Some(rest)) => rest.as_mut().poll_frame(cx).map_err(Into::into),
            (None, None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Either::Passed { body } => body.is_end_stream(),
            Either::Read { read, failed, rest } => {
                read.is_empty() && failed.is_none() && rest.as_ref().is_none_or(|rest| rest.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (read, failed, rest) = match &self.body {
            Either::Passed { body } => return body.size_hint(),
            Either::Read { read, failed, rest } => (read, failed, rest),
        };
        let read: usize = read.iter().filter_map(Frame::data_ref).map(Bytes::len).sum();
        let read = read as u64;
        let Some(rest) = rest.as_ref().map(|rest| rest.size_hint()) else {
            // The length of a body that breaks off is not known.
            let mut hint = SizeHint::with_exact(read);
            if failed.is_some() {
                hint = SizeHint::new();
                hint.set_lower(read);
            }
            return hint;
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
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
