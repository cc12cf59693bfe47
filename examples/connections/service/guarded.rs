//! The handlers with a scope. No transaction is open while the kitchen cooks, and none is left when a handler ends,
//! wherever it ends.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::app::{App, LoggedIn, Menu};
use super::error::ServiceError;
use super::store;
use crate::body::Body;
use crate::input::{Login, MenuRequest, Token, Wish};

pub(crate) async fn login(
    State(app): State<Arc<App>>,
    Body(login): Body<Login>,
) -> Result<Json<LoggedIn>, ServiceError> {
    let phase = app.side.phase();
    let mut tx = app.scope.begin().await?;
    store::check_password(&mut tx, &login).await?;
    let entry = store::write_journal(&mut tx, &login.name, phase).await?;
    let token = store::new_session(&mut tx, entry, &login.name).await?;
    tx.commit().await?;
    Ok(Json(LoggedIn { token }))
}

pub(crate) async fn set_preferences(
    State(app): State<Arc<App>>,
    Token(token): Token,
    Body(wish): Body<Wish>,
) -> Result<Json<Wish>, ServiceError> {
    let phase = app.side.phase();
    let mut tx = app.scope.begin().await?;
    let user = store::user_of(&mut tx, &token).await?;
    let entry = store::write_journal(&mut tx, &user, phase).await?;
    store::check_dish(&mut tx, &wish.dish).await?;
    store::prefer(&mut tx, entry, &user, &wish).await?;
    tx.commit().await?;
    Ok(Json(wish))
}

/// Reads, asks the kitchen, and writes: the connection is back in the pool while the kitchen cooks.
pub(crate) async fn menu(
    State(app): State<Arc<App>>,
    Token(token): Token,
    MenuRequest { kitchen }: MenuRequest,
) -> Result<Json<Menu>, ServiceError> {
    let (user, favourite) = app.favourite(&token).await?;
    let dish = app.kitchen.cook_carefully(&favourite, kitchen).await?;
    let phase = app.side.phase();
    let written = app.scope.run(&app.policy, async |mut tx| {
        let entry = store::write_journal(&mut tx, &user, phase).await?;
        Ok::<_, ServiceError>(store::write_menu(&mut tx, entry, &user, &dish).await?)
    });
    let number = written.await.map_err(|error| error.into_inner())?;
    Ok(Json(Menu { number, dish }))
}
