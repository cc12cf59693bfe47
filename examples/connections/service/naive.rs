//! The handlers as they were. Each opens a session, and closes it at its end, which not every request reaches: `?` returns
//! before it, a panic unwinds past it, and a client that hangs up drops the handler where it stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::app::{App, LoggedIn, Menu};
use super::error::ServiceError;
use super::store;
use crate::body::Body;
use crate::input::{Login, MenuRequest, Token, Wish};
use crate::side::Phase;

pub(crate) async fn login(
    State(app): State<Arc<App>>,
    Body(login): Body<Login>,
) -> Result<Json<LoggedIn>, ServiceError> {
    let session = app.sessions.open().await?;
    let mut db = app.sessions.connection(session).await;
    store::check_password(&mut db, &login).await?;
    let entry = store::write_journal(&mut db, &login.name, Phase::Naive).await?;
    let token = store::new_session(&mut db, entry, &login.name).await?;
    drop(db);
    app.sessions.commit(session).await?;
    Ok(Json(LoggedIn { token }))
}

pub(crate) async fn set_preferences(
    State(app): State<Arc<App>>,
    Token(token): Token,
    Body(wish): Body<Wish>,
) -> Result<Json<Wish>, ServiceError> {
    let session = app.sessions.open().await?;
    let mut db = app.sessions.connection(session).await;
    let user = store::user_of(&mut db, &token).await?;
    let entry = store::write_journal(&mut db, &user, Phase::Naive).await?;
    if let Err(error) = store::check_dish(&mut db, &wish.dish).await {
        // The one error that its author has thought of.
        drop(db);
        app.sessions.roll_back(session).await?;
        return Err(error);
    }
    store::prefer(&mut db, entry, &user, &wish).await?;
    drop(db);
    app.sessions.commit(session).await?;
    Ok(Json(wish))
}

/// The transaction stays open, and the connection is held, while the kitchen cooks.
pub(crate) async fn menu(
    State(app): State<Arc<App>>,
    Token(token): Token,
    MenuRequest { kitchen }: MenuRequest,
) -> Result<Json<Menu>, ServiceError> {
    let session = app.sessions.open().await?;
    let mut db = app.sessions.connection(session).await;
    let user = store::user_of(&mut db, &token).await?;
    let favourite = store::favourite(&mut db, &user).await?;
    let dish = app.kitchen.cook(&favourite, kitchen).await?;
    let entry = store::write_journal(&mut db, &user, Phase::Naive).await?;
    let number = store::write_menu(&mut db, entry, &user, &dish).await?;
    drop(db);
    app.sessions.commit(session).await?;
    Ok(Json(Menu { number, dish }))
}
