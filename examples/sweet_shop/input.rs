//! What comes from outside, checked: ids, bodies, and what to search for.

use std::ops::RangeInclusive;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use latchwork::Stamp;
use latchwork::web::Problem;
use serde::Deserialize;

use crate::body::{Content, bad_request, unprocessable};

const MAX_NAME: usize = 40;
const QUANTITIES: RangeInclusive<i64> = 1..=1_000_000;

/// A sweet's id. A text that is no id is the id of no sweet.
#[derive(Clone, Copy)]
pub(crate) struct SweetId(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for SweetId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) =
            text.map_err(|rejection| Problem::new(rejection.status()).with_detail(rejection.body_text()))?;
        // Ids are numbers as stamps are: from 1 to the greatest of SQL, written in one way.
        let id: Stamp = text.parse().map_err(|_| no_sweet())?;
        Ok(Self(id.as_i64()))
    }
}

pub(crate) fn no_sweet() -> Problem {
    Problem::new(StatusCode::NOT_FOUND).with_detail("there is no such sweet")
}

/// What a visitor looks for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// A part of the name, in any case.
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) max_cents: Option<i64>,
}

impl<S: Send + Sync> FromRequestParts<S> for Search {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let search = Query::from_request_parts(parts, state).await;
        let Query(search) = search.map_err(|rejection| bad_request(rejection.body_text()))?;
        let Self { name, .. } = &search;
        if name.contains(char::is_control) || name.chars().count() > MAX_NAME {
            let detail = format!("search for at most {MAX_NAME} characters, without control characters");
            return Err(bad_request(detail));
        }
        Ok(search)
    }
}

/// A new customer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    pub(crate) name: String,
}

/// How much is bought, or delivered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Amount {
    pub(crate) quantity: i64,
}

impl Content for NewUser {
    const LIKE: &str = r#"{"name": "ada"}"#;

    fn checked(self) -> Result<Self, Problem> {
        let Self { name } = &self;
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(unprocessable("the name must not be empty or contain white space"));
        }
        if name.chars().count() > MAX_NAME {
            return Err(unprocessable(format!("the name is longer than {MAX_NAME} characters")));
        }
        Ok(self)
    }
}

impl Content for Amount {
    const LIKE: &str = r#"{"quantity": 2}"#;

    fn checked(self) -> Result<Self, Problem> {
        if QUANTITIES.contains(&self.quantity) {
            return Ok(self);
        }
        let (least, most) = QUANTITIES.into_inner();
        Err(unprocessable(format!("the quantity must be from {least} to {most}")))
    }
}
