//! The handlers as they were. Each reads, compares and writes, and does not expect that others have written in between.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use latchwork::web::Problem;

use super::auth::new_token;
use super::error::ShopError;
use super::register::registered;
use super::service::{App, Delivery, Receipt};
use super::store::sell;
use crate::body::Body;
use crate::elsewhere::{confirm_delivery, price_today};
use crate::input::{Amount, NewUser, SweetId};

const WRITE: &str = "UPDATE sweets SET stock = $1, version = version + 1 WHERE id = $2";

/// Two customers read the same stock, and both write what is left after their own purchase.
pub(crate) async fn purchase(
    State(app): State<Arc<App>>,
    SweetId(id): SweetId,
    Body(Amount { quantity }): Body<Amount>,
) -> Result<Json<Receipt>, ShopError> {
    let sweet = app.store.sweet(id).await?;
    let left = sell(sweet.stock, quantity)?;
    let cents = quantity * price_today(sweet.price_cents).await;
    sqlx::query(WRITE).bind(left).bind(id).execute(&app.store.pools.writer).await?;
    Ok(Json(Receipt { sweet: id, quantity, cents, left }))
}

/// The purchases of the time that this takes are undone, or one of them undoes this.
pub(crate) async fn restock(
    State(app): State<Arc<App>>,
    SweetId(id): SweetId,
    Body(Amount { quantity }): Body<Amount>,
) -> Result<Json<Delivery>, ShopError> {
    let sweet = app.store.sweet(id).await?;
    confirm_delivery().await;
    let stock = sweet.stock + quantity;
    sqlx::query(WRITE).bind(stock).bind(id).execute(&app.store.pools.writer).await?;
    Ok(Json(Delivery { sweet: id, quantity, stock }))
}

/// Two customers find that the name is free, and the second insert fails. As any error of the database, that is a 500.
pub(crate) async fn register(
    State(app): State<Arc<App>>,
    Body(NewUser { name }): Body<NewUser>,
) -> Result<impl IntoResponse, Problem> {
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR);
    let token = new_token();
    let same = sqlx::query_scalar("SELECT count(*) FROM users WHERE name = $1").bind(&name);
    let same: i64 = same.fetch_one(&app.store.pools.readers).await.map_err(failed)?;
    if same > 0 {
        return Err(Problem::new(StatusCode::CONFLICT).with_detail("the name is taken"));
    }
    let insert = sqlx::query("INSERT INTO users (name, token, is_admin) VALUES ($1, $2, FALSE)");
    insert.bind(&name).bind(&token).execute(&app.store.pools.writer).await.map_err(failed)?;
    Ok(registered(name, token))
}
