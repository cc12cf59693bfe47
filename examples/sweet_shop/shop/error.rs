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
    #[error("the name is taken")]
    NameTaken,
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
            Self::NoSweet | Self::SoldOut { .. } | Self::NameTaken => Verdict::Stop,
        }
    }
}

impl From<ShopError> for Problem {
    fn from(error: ShopError) -> Self {
        match error {
            ShopError::NoSweet => no_sweet(),
            ShopError::SoldOut { .. } => Self::new(StatusCode::BAD_REQUEST).with_detail(error.to_string()),
            ShopError::NameTaken => Self::new(StatusCode::CONFLICT).with_detail(error.to_string()),
            ShopError::Conflict(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE).with_detail("too many are buying this sweet")
            }
            ShopError::Sql(error) => of_sql(&error),
        }
    }
}

/// Answers an error of the database. Clients do not see its text.
pub(crate) fn of_sql(error: &sqlx::Error) -> Problem {
    let unavailable = |detail| Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_detail(detail);
    match (error, transaction_verdict(error)) {
        (sqlx::Error::PoolTimedOut, _) => unavailable("all connections to the database are in use"),
        // A lost race of the naive registration: there are many, and they are counted.
        (_, Verdict::Retry(RetryKind::UniqueViolation)) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR),
        (_, Verdict::Retry(_)) => unavailable("the database is busy"),
        _ => {
            eprintln!("the database failed: {error}");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// As a problem.
impl IntoResponse for ShopError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
