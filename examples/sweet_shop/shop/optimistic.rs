//! A write on condition that the version is still the one that was read. Nothing is locked at first. A request that has
//! lost several races takes the sweet's lock, so that it can't lose for ever.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use latchwork::retry::RetryError;
use latchwork::sql::VersionedTable;
use latchwork::web::Problem;

use super::Db;
use super::error::ShopError;
use super::service::{App, Delivery, Receipt};
use super::store::sell;
use crate::body::Body;
use crate::elsewhere::confirm_delivery;
use crate::input::{Amount, SweetId};

const SWEETS: VersionedTable<Db> = VersionedTable::new("sweets", "id", "version");

/// After this number of lost races a request waits for the lock.
const ESCALATE_AFTER: u32 = 2;

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

async fn change(
    app: &App,
    id: i64,
    rule: impl Fn(i64) -> Result<i64, ShopError>,
) -> Result<i64, RetryError<ShopError>> {
    let change = app.policies.statement.retry_on_conflict(
        async |_| app.store.sweet(id).await,
        |sweet| Ok((sweet.version, rule(sweet.stock)?)),
        async |(version, stock)| {
            let mut db = app.store.pools.writer.acquire().await?;
            SWEETS.row(id).set("stock", stock).update(version, &mut db).await?;
            Ok(stock)
        },
    );
    change.escalate_after(ESCALATE_AFTER, &app.locks, id.to_string()).run().await
}
