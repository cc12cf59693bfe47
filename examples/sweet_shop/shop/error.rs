//! What can go wrong, whether to try again, and how it is answered.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use latchwork::sql::{RowConflict, RowError, statement_verdict, transaction_verdict};
use latchwork::verdict::{RetryKind, Verdict};
use latchwork::web::Problem;

use crate::input::no_sweet;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ShopError {
    #[error("there is no such sweet")]
    NoSweet,
    #[error("only {stock} are left")]
    SoldOut { stock: i64 },
    #[error(transparent)]
    Conflict(#[from] RowConflict),
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
}

impl From<RowError> for ShopError {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Conflict(conflict) => Self::Conflict(conflict),
            RowError::Database(error) => Self::Sql(error),
            _ => Self::Sql(sqlx::Error::Protocol(error.to_string())),
        }
    }
}

impl ShopError {
    /// Classifies the error of a whole transaction.
    pub(crate) fn of_transaction(&self) -> Verdict {
        self.verdict(transaction_verdict)
    }

    /// Classifies the error of a statement by itself. If the connection was lost, it may have been done.
    pub(crate) fn of_statement(&self) -> Verdict {
        self.verdict(statement_verdict)
    }

    fn verdict(&self, of_sql: fn(&sqlx::Error) -> Verdict) -> Verdict {
        match self {
            Self::Conflict(_) => Verdict::Retry(RetryKind::VersionConflict),
            Self::Sql(error) => of_sql(error),
            Self::NoSweet | Self::SoldOut { .. } => Verdict::Stop,
        }
    }
}

impl From<ShopError> for Problem {
    fn from(error: ShopError) -> Self {
        match error {
            ShopError::NoSweet => no_sweet(),
            ShopError::SoldOut { .. } => Self::new(StatusCode::BAD_REQUEST).with_detail(error.to_string()),
            ShopError::Conflict(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE).with_detail("too many are buying this sweet")
            }
            ShopError::Sql(error) => of_sql(error),
        }
    }
}

/// Answers an error of the database. Clients do not see its text, so it is printed if they can do nothing about it.
pub(crate) fn of_sql(error: sqlx::Error) -> Problem {
    let cause = error.to_string();
    let problem = Problem::from(error);
    if problem.status() == StatusCode::INTERNAL_SERVER_ERROR {
        eprintln!("the database failed: {cause}");
    }
    problem
}

/// As a problem.
impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
