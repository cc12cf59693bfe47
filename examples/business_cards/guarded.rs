//! The same handlers, with every write on condition: of a free slug, of the version that was read.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use latchwork::Stamp;
use sqlx::Connection;

use crate::answer::{self, Tagged};
use crate::input::{Body, CardId, Edit, IfMatch, NewCard, NewProfile, UserId};
use crate::policies::StoreError;
use crate::problem::Problem;
use crate::service::App;
use crate::slug::{slugify, with_suffix};
use crate::store::{Card, Profile, Store, Views, settle};

/// After so many lost races a viewer counts alone.
const ALONE_AFTER: u32 = 2;

/// Takes the plain slug if nobody has it, and one with a random suffix otherwise. If that is taken as well,
/// the whole transaction is made again with a longer one.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Body(new): Body<NewCard>,
) -> Result<Response, Problem> {
    let slug = slugify(&new.name);
    let created = app.policies.create.run(|attempt| insert(&app.store, &new, &slug, attempt.number())).await;
    Ok(answer::created(created.map_err(|error| app.policies.no_slug(error))?))
}

async fn insert(store: &Store, new: &NewCard, slug: &str, attempt: u32) -> Result<Card, StoreError> {
    const PLAIN: &str = "INSERT INTO cards (slug, name, title, note) VALUES (?, ?, ?, ?)
        ON CONFLICT (slug) DO NOTHING RETURNING *";
    const SUFFIXED: &str = "INSERT INTO cards (slug, name, title, note) VALUES (?, ?, ?, ?) RETURNING *";

    let card = |sql, slug| sqlx::query_as(sql).bind(slug).bind(&new.name).bind(&new.title).bind(&new.note);
    let mut connection = store.writer.acquire().await?;
    let mut tx = connection.begin().await?;
    let card: Card = match card(PLAIN, slug.to_owned()).fetch_optional(&mut *tx).await? {
        Some(card) => card,
        None => card(SUFFIXED, with_suffix(slug, attempt)).fetch_one(&mut *tx).await?,
    };
    sqlx::query("INSERT INTO views (card) VALUES (?)").bind(card.id).execute(&mut *tx).await?;
    let committed = tx.commit().await;
    settle(connection, committed).await?;
    Ok(card)
}

/// Only the person in front of the other tab knows what to do about a conflict, so this is told and not
/// retried: 412 to who asked by `If-Match`, 409 to who did in the body.
pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    CardId(id): CardId,
    if_match: IfMatch,
    Body(edit): Body<Edit>,
) -> Result<Tagged<Card>, Problem> {
    let expected = if_match.or_body(&edit)?;
    let saved = app.policies.edit.run(|_| update(&app.store, id, expected, &edit)).await;
    saved.map(Tagged).map_err(|error| Problem::from_edit(error, if_match))
}

async fn update(store: &Store, id: i64, expected: Stamp, edit: &Edit) -> Result<Card, StoreError> {
    // Without a transaction a statement that returns rows commits when it is done with, and nobody is told if
    // that fails. And what a refusal says is current is so at the same moment.
    let mut connection = store.writer.acquire().await?;
    let mut tx = connection.begin().await?;
    let saved = sqlx::query_as(
        "UPDATE cards SET name = coalesce(?, name), title = coalesce(?, title), note = coalesce(?, note),
            version = version + 1
         WHERE id = ? AND version = ? RETURNING *",
    )
    .bind(&edit.name)
    .bind(&edit.title)
    .bind(&edit.note)
    .bind(id)
    .bind(expected.as_i64())
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(saved) = saved {
        let committed = tx.commit().await;
        settle(connection, committed).await?;
        return Ok(saved);
    }
    let current = sqlx::query_as("SELECT * FROM cards WHERE id = ?").bind(id).fetch_optional(&mut *tx);
    let current: Card = current.await?.ok_or(StoreError::NoCard)?;
    Err(StoreError::Stale { current: current.version })
}

/// Nobody has to be asked how to count, so a conflict resolves itself: read again, add one, store if
/// nobody else did. (For a mere sum `SET views = views + 1` would do; this is the way for every change that
/// SQL can't say.)
pub(crate) async fn count_view(
    State(app): State<Arc<App>>,
    CardId(id): CardId,
) -> Result<Json<Views>, Problem> {
    let count = app.policies.count_view.retry_on_conflict(
        async || app.store.views(id).await?.ok_or(StoreError::NoCard),
        |seen| Ok(Views { views: seen.views.saturating_add(1), ..seen }),
        async |next| save_views(&app.store, &next).await,
    );
    Ok(Json(count.escalate_after(ALONE_AFTER, &app.locks, id).run().await?))
}

/// Saves them if the version is still the one they were made of.
async fn save_views(store: &Store, next: &Views) -> Result<Views, StoreError> {
    let mut connection = store.writer.acquire().await?;
    let mut tx = connection.begin().await?;
    let saved = sqlx::query_as(
        "UPDATE views SET views = ?, version = version + 1 WHERE card = ? AND version = ? RETURNING *",
    )
    .bind(next.views)
    .bind(next.card)
    .bind(next.version.as_i64())
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(saved) = saved {
        let committed = tx.commit().await;
        settle(connection, committed).await?;
        return Ok(saved);
    }
    let current = sqlx::query_as("SELECT * FROM views WHERE card = ?").bind(next.card);
    let current: Option<Views> = current.fetch_optional(&mut *tx).await?;
    Err(StoreError::Stale { current: current.ok_or(StoreError::NoCard)?.version })
}

/// One statement that inserts or updates: nobody comes in between. A profile that has version 1 was made
/// by it.
pub(crate) async fn put_profile(
    State(app): State<Arc<App>>,
    UserId(user): UserId,
    if_match: IfMatch,
    Body(new): Body<NewProfile>,
) -> Result<Response, Problem> {
    if let IfMatch::Version(_) = if_match {
        return Err(Problem::bad_request("a profile is put whatever is there: send it without If-Match"));
    }
    let saved = app.policies.put_profile.run(|_| upsert(&app.store, &user, &new)).await?;
    Ok(answer::upserted(saved))
}

async fn upsert(store: &Store, user: &str, new: &NewProfile) -> Result<Profile, StoreError> {
    let saved = sqlx::query_as(
        "INSERT INTO profiles (user, about) VALUES (?, ?)
         ON CONFLICT (user) DO UPDATE SET about = excluded.about, version = version + 1 RETURNING *",
    );
    let mut connection = store.writer.acquire().await?;
    let mut tx = connection.begin().await?;
    let saved = saved.bind(user).bind(&new.about).fetch_one(&mut *tx).await?;
    let committed = tx.commit().await;
    settle(connection, committed).await?;
    Ok(saved)
}
