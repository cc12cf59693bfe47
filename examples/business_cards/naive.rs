//! The handlers as they were: each looks first and writes afterwards, and does not expect that anybody
//! else has written in between.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use latchwork::web::Tagged;

use crate::body::Body;
use crate::input::{CardId, Edit, NewCard, NewProfile, UserId};
use crate::service::{App, created, upserted};
use crate::slug::{slugify, with_suffix};
use crate::store::{Card, StoreError, Views};

/// Two creators of one name both find the slug free.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Body(new): Body<NewCard>,
) -> Result<impl IntoResponse, StoreError> {
    let mut slug = slugify(&new.name);
    if app.store.card_by_slug(&slug).await?.is_some() {
        slug = with_suffix(&slug, 1);
    }
    let mut tx = app.store.begin().await?;
    let card: Card =
        sqlx::query_as("INSERT INTO cards (slug, name, title, note) VALUES (?, ?, ?, ?) RETURNING *")
            .bind(slug)
            .bind(new.name)
            .bind(new.title)
            .bind(new.note)
            .fetch_one(&mut *tx)
            .await?;
    sqlx::query("INSERT INTO views (card) VALUES (?)").bind(card.id).execute(&mut *tx).await?;
    tx.commit().await.map_err(sqlx::Error::from)?;
    Ok(created(card))
}

/// The last one wins, whatever the others had written before.
pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    CardId(id): CardId,
    Body(edit): Body<Edit>,
) -> Result<Tagged<Json<Card>>, StoreError> {
    let saved: Option<Card> = sqlx::query_as(
        "UPDATE cards SET name = coalesce(?, name), title = coalesce(?, title), note = coalesce(?, note),
            version = version + 1
         WHERE id = ? RETURNING *",
    )
    .bind(edit.name)
    .bind(edit.title)
    .bind(edit.note)
    .bind(id)
    .fetch_optional(&app.store.writer)
    .await?;
    let saved = saved.ok_or(StoreError::NoCard)?;
    Ok(Tagged::new(saved.version, Json(saved)))
}

/// Two viewers read the same number, and both write the one after it.
pub(crate) async fn count_view(
    State(app): State<Arc<App>>,
    CardId(id): CardId,
) -> Result<Json<Views>, StoreError> {
    let seen = app.store.views(id).await?.ok_or(StoreError::NoCard)?;
    let saved =
        sqlx::query_as("UPDATE views SET views = ?, version = version + 1 WHERE card = ? RETURNING *")
            .bind(seen.views.saturating_add(1))
            .bind(id)
            .fetch_one(&app.store.writer)
            .await?;
    Ok(Json(saved))
}

/// Two registrations of one user both find none; the second insert fails on the primary key.
pub(crate) async fn put_profile(
    State(app): State<Arc<App>>,
    UserId(user): UserId,
    Body(new): Body<NewProfile>,
) -> Result<impl IntoResponse, StoreError> {
    let write = match app.store.profile(&user).await? {
        None => "INSERT INTO profiles (about, user) VALUES (?, ?) RETURNING *",
        Some(_) => "UPDATE profiles SET about = ?, version = version + 1 WHERE user = ? RETURNING *",
    };
    let saved = sqlx::query_as(write).bind(new.about).bind(user).fetch_one(&app.store.writer).await?;
    Ok(upserted(saved))
}
