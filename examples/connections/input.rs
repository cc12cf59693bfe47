//! What comes from outside, checked: tokens, bodies, and trouble that is asked for.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use latchwork::web::Problem;
use serde::{Deserialize, Serialize};

use crate::body::{Content, bad_request, unprocessable};
use crate::upstream::Trouble;

const MAX_NAME: usize = 40;
const THEMES: [&str; 3] = ["light", "dark", "system"];

/// The token of a login.
pub(crate) struct Token(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Token {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| {
            let problem = Problem::new(StatusCode::UNAUTHORIZED)
                .with_detail("send the token of your login: `Authorization: Bearer …`");
            ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
        })?;
        Ok(Self(token.to_owned()))
    }
}

/// A request for a menu.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MenuRequest {
    /// What the kitchen must do, to see what happens then.
    pub(crate) kitchen: Option<Trouble>,
}

impl<S: Send + Sync> FromRequestParts<S> for MenuRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let request = Query::from_request_parts(parts, state).await;
        let Query(request) = request.map_err(|rejection| bad_request(rejection.body_text()))?;
        Ok(request)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) password: String,
}

/// Preferences.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    pub(crate) dish: String,
    pub(crate) theme: String,
}

impl Content for Login {
    const LIKE: &str = r#"{"name": "ada", "password": "engine"}"#;

    fn checked(self) -> Result<Self, Problem> {
        check_name("name", &self.name)?;
        check_name("password", &self.password)?;
        Ok(self)
    }
}

impl Content for Wish {
    const LIKE: &str = r#"{"dish": "ramen", "theme": "dark"}"#;

    fn checked(self) -> Result<Self, Problem> {
        if !THEMES.contains(&self.theme.as_str()) {
            return Err(unprocessable(format!("the theme must be one of {}", THEMES.join(", "))));
        }
        check_name("dish", &self.dish)?;
        Ok(self)
    }
}

fn check_name(what: &str, text: &str) -> Result<(), Problem> {
    if text.is_empty() || text.contains(char::is_control) || text.chars().count() > MAX_NAME {
        let detail = format!("the {what} must have 1 to {MAX_NAME} characters, and no control characters");
        return Err(unprocessable(detail));
    }
    Ok(())
}
