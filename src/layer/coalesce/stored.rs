//! [`Stored`]: an answer that was read to its end, for several requests.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::TRAILER;
use http::{HeaderMap, Response, StatusCode, response};
use http_body::{Body, Frame};
use tokio::time::{Sleep, sleep};

use super::body::{Read, SharedBody, Then};
use super::hop_by_hop::remove_hop_by_hop;
use crate::layer::box_error::BoxError;

/// An answer that can be shared. Its data is in one piece, which all answers share.
pub(crate) struct Stored {
    parts: response::Parts,
    read: Read,
}

impl Stored {
    fn new(mut parts: response::Parts, read: Read) -> Self {
        remove_hop_by_hop(&mut parts.headers);
        if read.trailers.is_none() {
            parts.headers.remove(TRAILER);
        }
        Self { parts, read }
    }

    /// Returns another copy of the answer.
    pub(super) fn response<B>(&self) -> Response<SharedBody<B>> {
        let has_no_body = self.parts.status == StatusCode::NO_CONTENT && self.read.is_empty();
        let then = if has_no_body { Then::NoBody } else { Then::End };
        Response::from_parts(self.parts.clone(), SharedBody::read(self.read.clone(), then))
    }
}

/// How the reading of an answer ended.
pub(super) enum Stop<B> {
    Stored(Stored),
    /// It is too long or too slow. What was read comes first, and then the rest.
    Passed(Response<SharedBody<B>>),
    /// It broke off. What was read comes first, and then the error.
    Broken(Response<SharedBody<B>>),
}

/// How much of a body is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_body: usize,
    pub(super) read_timeout: Option<Duration>,
}

/// Reads an answer to its end.
pub(super) async fn store<B>(answer: Response<B>, limits: Limits) -> Stop<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let least = usize::try_from(answer.body().size_hint().lower()).unwrap_or(usize::MAX);
    if least > limits.max_body {
        return Stop::Passed(answer.map(SharedBody::passed));
    }
    let (parts, body) = answer.into_parts();
    if body.is_end_stream() {
        return Stop::Stored(Stored::new(parts, Read::default()));
    }
    // In a box, since the leader may get the rest of it.
    let mut body = Box::pin(body);
    let mut timer = pin!(limits.read_timeout.map(sleep));
    let mut data =
        Data { left: limits.max_body, empty: 0, least, first: Bytes::new(), more: BytesMut::new() };
    let (read, then) = loop {
        let added = match next(body.as_mut(), timer.as_mut()).await {
            Next::Frame(frame) => data.add(frame, limits.max_body),
            Next::End => Added::Last(None),
            Next::Failed(error) => {
                let body = SharedBody::read(data.into_read(), Then::Failed(Some(error)));
                return Stop::Broken(Response::from_parts(parts, body));
            }
            Next::TimedOut => break (data.into_read(), Then::Rest(body)),
        };
        match added {
            Added::Kept => {}
            Added::Last(trailers) => {
                return Stop::Stored(Stored::new(parts, Read { trailers, ..data.into_read() }));
            }
            Added::Over(over) => break (Read { over, ..data.into_read() }, Then::Rest(body)),
            // Nothing comes after trailers.
            Added::OverWithTrailers(trailers) => {
                break (Read { trailers: Some(trailers), ..data.into_read() }, Then::End);
            }
        }
    };
    Stop::Passed(Response::from_parts(parts, SharedBody::read(read, then)))
}

enum Next {
    Frame(Frame<Bytes>),
    End,
    Failed(BoxError),
    TimedOut,
}

async fn next<B>(mut body: Pin<&mut B>, mut timer: Pin<&mut Option<Sleep>>) -> Next
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    poll_fn(|cx| match body.as_mut().poll_frame(cx) {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Next::Frame(frame)),
        Poll::Ready(Some(Err(error))) => Poll::Ready(Next::Failed(error.into())),
        Poll::Ready(None) => Poll::Ready(Next::End),
        Poll::Pending => match timer.as_mut().as_pin_mut() {
            Some(timer) => timer.poll(cx).map(|()| Next::TimedOut),
            None => Poll::Pending,
        },
    })
    .await
}

/// The data that was read, in one piece.
struct Data {
    /// How many bytes may still come.
    left: usize,
    /// How many frames were empty.
    empty: usize,
    /// How many bytes there are at least in all.
    least: usize,
    /// The only frame so far. It is not copied.
    first: Bytes,
    /// All frames, if there are several.
    more: BytesMut,
}

/// What became of a frame.
enum Added {
    Kept,
    /// It is the last one.
    Last(Option<HeaderMap>),
    /// It is too long to be kept.
    Over(Bytes),
    OverWithTrailers(HeaderMap),
}

impl Data {
    fn add(&mut self, frame: Frame<Bytes>, max_body: usize) -> Added {
        match frame.into_data() {
            Ok(data) if data.is_empty() => {
                // Nothing is kept of it. But reading must end, also if all frames are empty.
                self.empty += 1;
                if self.empty > max_body { Added::Over(data) } else { Added::Kept }
            }
            Ok(data) => match self.left.checked_sub(data.len()) {
                Some(left) => {
                    self.left = left;
                    self.append(data);
                    Added::Kept
                }
                None => Added::Over(data),
            },
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) if size(&trailers) <= self.left => Added::Last(Some(trailers)),
                Ok(trailers) => Added::OverWithTrailers(trailers),
                Err(_) => Added::Kept,
            },
        }
    }

    fn append(&mut self, data: Bytes) {
        if self.first.is_empty() && self.more.is_empty() {
            self.first = data;
            return;
        }
        if self.more.is_empty() {
            self.more.reserve(self.least);
            self.more.extend_from_slice(&mem::take(&mut self.first));
        }
        self.more.extend_from_slice(&data);
    }

    fn into_read(self) -> Read {
        let data = if self.more.is_empty() { self.first } else { self.more.freeze() };
        Read { data, ..Read::default() }
    }
}

/// Returns the size of trailers, as HTTP/2 counts it (RFC 9113, section 6.5.2).
fn size(trailers: &HeaderMap) -> usize {
    trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}
