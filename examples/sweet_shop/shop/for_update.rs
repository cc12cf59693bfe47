//! Read, compare, write, in a transaction that locks the row before it reads. Others wait for the row until it ends.
//!
//! The other services are asked before it begins. A transaction that waits for them would keep a connection and the row
//! from everybody else.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use latchwork::retry::RetryError;
use latchwork::web::Problem;

use super::LOCKING_READ;
use super::error::ShopError;
use super::service::{App, Delivery, Receipt};
use super::store::sell;
use crate::body::Body;
use crate::elsewhere::confirm_delivery;
use crate::input::{Amount, SweetId};

pub(crate) async fn purchase(
    State(app): State<Arc<App>>,
    SweetId(id): SweetId,
    Body(Amount { quantity }): Body<Amount>,
) -> Result<Json<Receipt>, Problem> {
    let cents = app.quote(id, quantity).await?;
    let left = change(&app, id, |stock| sell(stock, quantity)).await?;
    Ok(Json(Receipt { sweet: id, quantity, cents, left }))
}

pub(crate) async fn restock(
    State(app): State<Arc<App>>,
    SweetId(id): SweetId,
    Body(Amount { quantity }): Body<Amount>,
) -> Result<Json<Delivery>, Problem> {
    confirm_delivery().await;
    let stock = change(&app, id, |stock| Ok(stock + quantity)).await?;
    Ok(Json(Delivery { sweet: id, quantity, stock }))
}

/// Changes the stock. If the database undoes the transaction, it runs again.
async fn change(
    app: &App,
    id: i64,
    rule: impl Fn(i64) -> Result<i64, ShopError>,
) -> Result<i64, RetryError<ShopError>> {
    let asked = Instant::now();
    let changed = app.scope.run(&app.policies.transaction, async |mut tx| {
        let stock = sqlx::query_scalar(LOCKING_READ).bind(id).fetch_optional(&mut *tx).await?;
        app.waits.record(asked.elapsed());
        let stock = rule(stock.ok_or(ShopError::NoSweet)?)?;
        let sql = "UPDATE sweets SET stock = $1, version = version + 1 WHERE id = $2";
        sqlx::query(sql).bind(stock).bind(id).execute(&mut *tx).await?;
        Ok(stock)
    });
    changed.await
}
