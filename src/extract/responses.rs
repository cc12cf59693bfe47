//! Problems, errors and tagged answers as responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::claim::{ClaimExhausted, Taken};
use crate::digits::BadNumber;
use crate::error::{Busy, NotAcquired, TimedOut};
use crate::fence::{FenceOutOfRange, ParseFenceError, StaleFence};
use crate::layer::ParseModeError;
use crate::provider::LockError;
use crate::retry::RetryError;
use crate::stamp::{BadEtag, ImplausibleStamp, ParseStampError, StampOutOfRange, StampsExhausted};
use crate::versioned::{Conflict, Exhausted, WriteError};
use crate::web::{Problem, Tagged};

/// Answers as [`Problem::response`] does.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response()
    }
}

/// Answers as [`Tagged::response`] does. Neither 304 nor 204 has a `Content-Length` (RFC 9110, section 8.6).
impl<R: IntoResponse> IntoResponse for Tagged<R> {
    fn into_response(self) -> Response {
        let response = self.map(IntoResponse::into_response).response();
        match response.status() {
            StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT => response.map(|_| Body::new(NoBody)),
            _ => response,
        }
    }
}

/// The body of an answer that can't have one.
///
/// Its length is unknown, and not zero: axum's router writes every known length into `Content-Length`. A 304 to GET or
/// HEAD may only have the length that the 200 would have, and a 204 may have none.
struct NoBody;

impl HttpBody for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Errors that handlers can return as they are.
macro_rules! answered_as_problems {
    ($($error:ty),* $(,)?) => {$(
        /// Answers with the [`Problem`] of the error.
        impl IntoResponse for $error {
            fn into_response(self) -> Response {
                Problem::from(self).into_response()
            }
        }
    )*};
}

answered_as_problems!(
    Busy,
    TimedOut,
    NotAcquired,
    LockError,
    StaleFence,
    StampsExhausted,
    ClaimExhausted,
    BadNumber,
    ParseStampError,
    ParseFenceError,
    StampOutOfRange,
    FenceOutOfRange,
    ImplausibleStamp,
    BadEtag,
    ParseModeError,
);

#[cfg(feature = "sqlx")]
answered_as_problems!(crate::sql::CommitError, crate::sql::RowConflict, crate::sql::RowError);

/// Answers with the [`Problem`] of the error.
impl<T> IntoResponse for Conflict<T> {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// Answers with the [`Problem`] of the error.
impl<T> IntoResponse for Exhausted<T> {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// Answers with the closure's error as it is, which may be the service's own type. The write's own errors are answered as
/// [`Problem`]s.
impl<T, E: IntoResponse> IntoResponse for WriteError<T, E> {
    fn into_response(self) -> Response {
        let own = |error: WriteError<T>| Problem::from(error).into_response();
        match self {
            Self::Refused(error) => error.into_response(),
            Self::Conflict(conflict) => own(WriteError::Conflict(conflict)),
            Self::Crowded(conflict) => own(WriteError::Crowded(conflict)),
            Self::Exhausted(exhausted) => own(WriteError::Exhausted(exhausted)),
        }
    }
}

/// Answers with the [`Problem`] of the error.
impl<K> IntoResponse for Taken<K> {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// Answers with the [`Problem`] of the error.
impl<E> IntoResponse for RetryError<E>
where
    Problem: From<E>,
{
    fn into_response(self) -> Response {
        <Problem as From<Self>>::from(self).into_response()
    }
}
