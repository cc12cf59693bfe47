//! One statement compares and writes. The database lets no other write in between.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use latchwork::web::Problem;

use super::error::ShopError;
use super::service::{App, Delivery, Receipt};
use crate::body::Body;
use crate::elsewhere::confirm_delivery;
use crate::input::{Amount, SweetId};

pub(crate) async fn purchase(
    State(app): State<Arc<App>>,
    SweetId(id): SweetId,
    Body(Amount { quantity }): Body<Amount>,
) -> Result<Json<Receipt>, Problem> {
    let cents = app.quote(id, quantity).await?;
    let sql = "UPDATE sweets SET stock = stock - $1, version = version + 1
        WHERE id = $2 AND stock >= $1 RETURNING stock";
    let sell = app.policies.statement.run(async |_| match write(&app, sql, id, quantity).await? {
        Some(left) => Ok(left),
        // The condition does not say why it does not hold.
        None => Err(ShopError::SoldOut { stock: app.store.sweet(id).await?.stock }),
    });
    Ok(Json(Receipt { sweet: id, quantity, cents, left: sell.await? }))
}

pub(crate) async fn restock(
    State(app): State<Arc<App>>,
    SweetId(id): SweetId,
    Body(Amount { quantity }): Body<Amount>,
) -> Result<Json<Delivery>, Problem> {
    confirm_delivery().await;
    let sql = "UPDATE sweets SET stock = stock + $1, version = version + 1 WHERE id = $2 RETURNING stock";
    let add =
        app.policies.statement.run(async |_| write(&app, sql, id, quantity).await?.ok_or(ShopError::NoSweet));
    Ok(Json(Delivery { sweet: id, quantity, stock: add.await? }))
}

/// The wait for the row is a part of the statement. So the whole statement is taken for a wait, its commit included.
async fn write(app: &App, sql: &'static str, id: i64, quantity: i64) -> Result<Option<i64>, ShopError> {
    let write = sqlx::query_scalar(sql).bind(quantity).bind(id).fetch_optional(&app.store.pools.writer);
    Ok(app.waits.time(write).await?)
}
