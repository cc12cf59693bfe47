//! The same handlers, with every write on condition: of a free slug, of the version that was read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use latchwork::web::{IfMatch, IfNoneMatch, Problem, Tagged};
use latchwork::{retry::RetryError, versioned::Expect};

use crate::body::Body;
use crate::input::{CardId, Edit, NewCard, NewProfile, UserId};
use crate::service::{App, created, upserted};
use crate::slug::{slugify, with_suffix};
use crate::store::{Card, Profile, Store, StoreError, Views, check};

/// After so many lost races a viewer counts alone.
const ALONE_AFTER: u32 = 2;

/// Takes the plain slug if nobody has it, and one with a random suffix otherwise. If that is taken as well,
/// the whole transaction is made again with a longer one.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Body(new): Body<NewCard>,
) -> Result<impl IntoResponse, Problem> {
    let slug = slugify(&new.name);
    let card = app.policies.create.run(|attempt| insert(&app.store, &new, &slug, attempt.number())).await;
    Ok(created(card.map_err(|error| app.policies.no_slug(error))?))
}

async fn insert(store: &Store, new: &NewCard, slug: &str, attempt: u32) -> Result<Card, StoreError> {
    const PLAIN: &str = "INSERT INTO cards (slug, name, title, note) VALUES (?, ?, ?, ?)
        ON CONFLICT (slug) DO NOTHING RETURNING *";
    const SUFFIXED: &str = "INSERT INTO cards (slug, name, title, note) VALUES (?, ?, ?, ?) RETURNING *";

    let card = |sql, slug| sqlx::query_as(sql).bind(slug).bind(&new.name).bind(&new.title).bind(&new.note);
    let mut tx = store.begin().await?;
    let card: Card = match card(PLAIN, slug.to_owned()).fetch_optional(&mut *tx).await? {
        Some(card) => card,
        None => card(SUFFIXED, with_suffix(slug, attempt)).fetch_one(&mut *tx).await?,
    };
    sqlx::query("INSERT INTO views (card) VALUES (?)").bind(card.id).execute(&mut *tx).await?;
    tx.commit().await.map_err(sqlx::Error::from)?;
    Ok(card)
}

/// Only the person in front of the other tab knows what to do about a conflict, so this is told and not
/// retried: 412 to who asked by `If-Match`, 409 to who did in the body.
pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    CardId(id): CardId,
    if_match: Option<IfMatch>,
    Body(edit): Body<Edit>,
) -> Result<Tagged<Json<Card>>, Problem> {
    let expected = edit.expect(if_match.as_ref())?;
    let saved = app.policies.edit.run(|_| update(&app.store, id, &expected, &edit)).await;
    let saved = saved.map_err(|error| match if_match {
        Some(if_match) => if_match.refuse(error),
        None => error.into(),
    })?;
    Ok(Tagged::new(saved.version, Json(saved)))
}

async fn update(store: &Store, id: i64, expected: &Expect, edit: &Edit) -> Result<Card, StoreError> {
    // Nobody, of this process or another, writes between what is read here and what is written.
    let mut tx = store.begin().await?;
    let current = sqlx::query_as("SELECT * FROM cards WHERE id = ?").bind(id).fetch_optional(&mut *tx);
    let current: Card = current.await?.ok_or(StoreError::NoCard)?;
    check(expected, Some(current.version))?;
    let saved = sqlx::query_as(
        "UPDATE cards SET name = coalesce(?, name), title = coalesce(?, title), note = coalesce(?, note),
            version = version + 1
         WHERE id = ? AND version = ? RETURNING *",
    )
    .bind(&edit.name)
    .bind(&edit.title)
    .bind(&edit.note)
    .bind(id)
    .bind(current.version)
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await.map_err(sqlx::Error::from)?;
    Ok(saved)
}

/// Nobody has to be asked how to count, so a conflict resolves itself: read again, add one, store if
/// nobody else did. (For a mere sum `SET views = views + 1` would do; this is the way for every change that
/// SQL can't say.)
pub(crate) async fn count_view(
    State(app): State<Arc<App>>,
    CardId(id): CardId,
) -> Result<Json<Views>, RetryError<StoreError>> {
    let count = app.policies.count_view.retry_on_conflict(
        async |_| app.store.views(id).await?.ok_or(StoreError::NoCard),
        |seen| Ok(Views { views: seen.views.saturating_add(1), ..seen }),
        async |next| save_views(&app.store, &next).await,
    );
    Ok(Json(count.escalate_after(ALONE_AFTER, &app.locks, id).run().await?))
}

/// Saves them if the version is still the one they were made of.
async fn save_views(store: &Store, next: &Views) -> Result<Views, StoreError> {
    let mut tx = store.begin().await?;
    let saved: Option<Views> = sqlx::query_as(
        "UPDATE views SET views = ?, version = version + 1 WHERE card = ? AND version = ? RETURNING *",
    )
    .bind(next.views)
    .bind(next.card)
    .bind(next.version)
    .fetch_optional(&mut *tx)
    .await?;
    let saved = saved.ok_or(StoreError::Overtaken)?;
    tx.commit().await.map_err(sqlx::Error::from)?;
    Ok(saved)
}

/// Without conditions it is put whatever is there; `If-None-Match: *` makes a new one only, and `If-Match` replaces
/// only what was read. A profile that has version 1 was made by it.
pub(crate) async fn put_profile(
    State(app): State<Arc<App>>,
    UserId(user): UserId,
    if_match: Option<IfMatch>,
    if_none_match: Option<IfNoneMatch>,
    Body(new): Body<NewProfile>,
) -> Result<impl IntoResponse, Problem> {
    let conditions = [if_match.map(Expect::from), if_none_match.map(Expect::from)];
    let saved = app.policies.put_profile.run(|_| upsert(&app.store, &user, &conditions, &new)).await;
    Ok(upserted(saved.map_err(|error| Problem::from(error).precondition_failed())?))
}

async fn upsert(
    store: &Store,
    user: &str,
    conditions: &[Option<Expect>],
    new: &NewProfile,
) -> Result<Profile, StoreError> {
    let mut tx = store.begin().await?;
    let current = sqlx::query_as("SELECT * FROM profiles WHERE user = ?").bind(user).fetch_optional(&mut *tx);
    let current: Option<Profile> = current.await?;
    for expected in conditions.iter().flatten() {
        check(expected, current.as_ref().map(|profile| profile.version))?;
    }
    let saved = sqlx::query_as(
        "INSERT INTO profiles (user, about) VALUES (?, ?)
         ON CONFLICT (user) DO UPDATE SET about = excluded.about, version = version + 1 RETURNING *",
    );
    let saved = saved.bind(user).bind(&new.about).fetch_one(&mut *tx).await?;
    tx.commit().await.map_err(sqlx::Error::from)?;
    Ok(saved)
}
