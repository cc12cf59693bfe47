//! Who sends a request: 401 for a stranger, 403 for a customer who wants to do what only admins may.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use latchwork::web::Problem;

use super::error::of_sql;
use super::service::App;

/// Returns a token that nobody can guess.
pub(crate) fn new_token() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    let mut token = String::new();
    for byte in bytes {
        write!(token, "{byte:02x}").expect("a string takes what is written");
    }
    token
}

pub(crate) async fn customers(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match is_admin(&app, request.headers()).await {
        Ok(_) => next.run(request).await,
        Err(refused) => refused,
    }
}

pub(crate) async fn admins(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match is_admin(&app, request.headers()).await {
        Ok(true) => next.run(request).await,
        Ok(false) => Problem::new(StatusCode::FORBIDDEN).with_detail("only admins restock").into_response(),
        Err(refused) => refused,
    }
}

async fn is_admin(app: &App, headers: &HeaderMap) -> Result<bool, Response> {
    let stranger = || {
        let problem = Problem::new(StatusCode::UNAUTHORIZED)
            .with_detail("send the token of your registration: `Authorization: Bearer …`");
        ([(header::WWW_AUTHENTICATE, "Bearer")], problem).into_response()
    };
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(stranger)?;
    let known = sqlx::query_scalar("SELECT is_admin FROM users WHERE token = $1").bind(token);
    let known = known.fetch_optional(&app.store.pools.readers).await;
    known.map_err(|error| of_sql(error).into_response())?.ok_or_else(stranger)
}
