//! A registration that leaves the question whether a name is free to the database, which alone can answer it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use latchwork::sql::violated_constraint;
use latchwork::web::Problem;
use serde::Serialize;

use super::auth::new_token;
use super::error::of_sql;
use super::service::App;
use crate::body::Body;
use crate::input::NewUser;

#[derive(Serialize)]
struct Registered {
    name: String,
    token: String,
}

/// 201 with the token. It is shown this once.
pub(crate) fn registered(name: String, token: String) -> impl IntoResponse {
    (StatusCode::CREATED, Json(Registered { name, token }))
}

pub(crate) async fn register(
    State(app): State<Arc<App>>,
    Body(NewUser { name }): Body<NewUser>,
) -> Result<impl IntoResponse, Problem> {
    let token = new_token();
    let insert = sqlx::query("INSERT INTO users (name, token, is_admin) VALUES ($1, $2, FALSE)");
    let insert = insert.bind(&name).bind(&token).execute(&app.store.pools.writer).await;
    insert.map_err(|error| match violated_constraint(&error) {
        // PostgreSQL names the constraint, SQLite the column.
        Some("user_name" | "users.name") => Problem::from(error).with_detail("the name is taken"),
        _ => of_sql(error),
    })?;
    Ok(registered(name, token))
}
