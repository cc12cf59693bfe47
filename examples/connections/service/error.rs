//! What can go wrong, whether to try again, and how it is answered.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use latchwork::sql::{CommitError, transaction_verdict};
use latchwork::verdict::{Classify, Verdict};
use latchwork::web::Problem;

use crate::upstream::KitchenError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error("the name or the password is wrong")]
    WrongPassword,
    #[error("log in first, and send the token: `Authorization: Bearer …`")]
    Stranger,
    #[error("there is no dish of this name")]
    NoDish,
    #[error("there are no preferences yet")]
    NoPreferences,
    #[error(transparent)]
    Kitchen(#[from] KitchenError),
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

impl From<CommitError> for ServiceError {
    fn from(error: CommitError) -> Self {
        Self::Sql(error.into())
    }
}

/// Classifies the error of a whole transaction.
impl Classify for ServiceError {
    fn classify(&self) -> Verdict {
        match self {
            Self::Sql(error) => transaction_verdict(error),
            _ => Verdict::Stop,
        }
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let refusal = |status| Self::new(status).with_detail(error.to_string());
        match error {
            ServiceError::WrongPassword | ServiceError::Stranger => refusal(StatusCode::UNAUTHORIZED),
            ServiceError::NoPreferences => refusal(StatusCode::NOT_FOUND),
            ServiceError::NoDish => refusal(StatusCode::UNPROCESSABLE_ENTITY),
            ServiceError::Kitchen(error) => error.into(),
            ServiceError::Sql(error) => {
                let seen = error.to_string();
                let problem = Self::from(error);
                if problem.status() == StatusCode::INTERNAL_SERVER_ERROR {
                    eprintln!("the database failed: {seen}");
                }
                problem
            }
        }
    }
}

/// As a problem.
impl IntoResponse for ServiceError {
    fn into_response(self) -> Response {
        let problem = Problem::from(self);
        if problem.status() == StatusCode::UNAUTHORIZED {
            return ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response();
        }
        problem.into_response()
    }
}
