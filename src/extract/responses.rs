//! Problems, errors and tagged answers as responses.

use axum::response::{IntoResponse, Response};

use crate::claim::{ClaimExhausted, Taken};
use crate::digits::BadNumber;
use crate::error::{Busy, TimedOut};
use crate::fence::{ParseFenceError, StaleFence};
use crate::layer::ParseModeError;
use crate::provider::LockError;
use crate::retry::RetryError;
use crate::stamp::{BadEtag, ParseStampError, StampOutOfRange, StampsExhausted};
use crate::versioned::{Conflict, WriteError};
use crate::web::{Problem, Tagged};

/// Answers as [`Problem::response`] does.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response()
    }
}

/// Answers as [`Tagged::response`] does.
impl<R: IntoResponse> IntoResponse for Tagged<R> {
    fn into_response(self) -> Response {
        self.map(IntoResponse::into_response).response()
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
    LockError,
    StaleFence,
    StampsExhausted,
    ClaimExhausted,
    BadNumber,
    ParseStampError,
    ParseFenceError,
    StampOutOfRange,
    BadEtag,
    ParseModeError,
);

/// Answers with the [`Problem`] of the error.
impl<T> IntoResponse for Conflict<T> {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

/// Answers with the [`Problem`] of the error.
impl<T, E> IntoResponse for WriteError<T, E>
where
    Problem: From<E>,
{
    fn into_response(self) -> Response {
        <Problem as From<Self>>::from(self).into_response()
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
