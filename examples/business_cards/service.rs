//! The services: routes to the handlers as they were or to the guarded ones, and the server around them.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::map_response;
use axum::response::IntoResponse;
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use latchwork::web::{IfNoneMatch, Problem, Tagged};
use latchwork::{KeyedLock, Stamp, TimedOut};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::body::MAX_BODY;
use crate::input::{CardId, SlugText, UserId};
use crate::policies::Policies;
use crate::store::{Card, Profile, Slugs, Store, StoreError, Views};
use crate::{guarded, naive, scrape};

pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) policies: Policies,
    /// For those who count views, by card.
    pub(crate) locks: Arc<KeyedLock<i64>>,
}

/// Which handlers answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handlers {
    Naive,
    Guarded,
}

impl App {
    pub(crate) async fn open(file: &Path, handlers: Handlers) -> sqlx::Result<Arc<Self>> {
        let slugs = match handlers {
            Handlers::Naive => Slugs::Any,
            Handlers::Guarded => Slugs::Unique,
        };
        let store = Store::open(file, slugs).await?;
        let locks = Arc::new(KeyedLock::builder().name("cards").publish_times().build());
        Ok(Arc::new(Self { store, policies: Policies::new(), locks }))
    }
}

async fn card(
    State(app): State<Arc<App>>,
    CardId(id): CardId,
    known: Option<IfNoneMatch>,
) -> Result<Tagged<Json<Card>>, StoreError> {
    let card = app.store.card(id).await?.ok_or(StoreError::NoCard)?;
    Ok(Tagged::new(card.version, Json(card)).not_modified_for(known.as_ref()))
}

async fn card_by_slug(
    State(app): State<Arc<App>>,
    SlugText(slug): SlugText,
    known: Option<IfNoneMatch>,
) -> Result<Tagged<Json<Card>>, StoreError> {
    let card = app.store.card_by_slug(&slug).await?.ok_or(StoreError::NoCard)?;
    Ok(Tagged::new(card.version, Json(card)).not_modified_for(known.as_ref()))
}

async fn views(
    State(app): State<Arc<App>>,
    CardId(id): CardId,
    known: Option<IfNoneMatch>,
) -> Result<Tagged<Json<Views>>, StoreError> {
    let views = app.store.views(id).await?.ok_or(StoreError::NoCard)?;
    Ok(Tagged::new(views.version, Json(views)).not_modified_for(known.as_ref()))
}

async fn profile(
    State(app): State<Arc<App>>,
    UserId(user): UserId,
    known: Option<IfNoneMatch>,
) -> Result<Tagged<Json<Profile>>, StoreError> {
    let profile = app.store.profile(&user).await?.ok_or(StoreError::NoProfile)?;
    Ok(Tagged::new(profile.version, Json(profile)).not_modified_for(known.as_ref()))
}

/// 201 with the new card's address.
pub(crate) fn created(card: Card) -> impl IntoResponse {
    let location = [(header::LOCATION, format!("/cards/{}", card.id))];
    Tagged::new(card.version, (StatusCode::CREATED, location, Json(card)))
}

/// A profile that was put, and whether there was none before.
#[derive(Serialize)]
struct Upserted {
    created: bool,
    #[serde(flatten)]
    profile: Profile,
}

/// 201 if the profile is new, 200 if it has replaced another one.
pub(crate) fn upserted(profile: Profile) -> impl IntoResponse {
    let created = profile.version == Stamp::MIN;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Tagged::new(profile.version, (status, Json(Upserted { created, profile })))
}

impl Handlers {
    /// The ways to write.
    pub(crate) fn routes(self) -> Router<Arc<App>> {
        match self {
            Self::Naive => Router::new()
                .route("/cards", post(naive::create))
                .route("/cards/{id}", patch(naive::edit))
                .route("/cards/{id}/views", post(naive::count_view))
                .route("/profiles/{user}", put(naive::put_profile)),
            Self::Guarded => Router::new()
                .route("/cards", post(guarded::create))
                .route("/cards/{id}", patch(guarded::edit))
                .route("/cards/{id}/views", post(guarded::count_view))
                .route("/profiles/{user}", put(guarded::put_profile)),
        }
    }
}

/// The ways to read, beside these routes.
fn router(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    routes
        .route("/cards/{id}", get(card))
        .route("/cards/{id}/views", get(views))
        .route("/slugs/{slug}", get(card_by_slug))
        .route("/profiles/{user}", get(profile))
        .route("/healthz", get(async || "ok\n"))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND))
        .method_not_allowed_fallback(async || Problem::new(StatusCode::METHOD_NOT_ALLOWED))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(map_response(scrape::count_problems))
        .with_state(app)
}

/// How long a server that is told to stop waits for what is under way.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) struct Server {
    pub(crate) url: String,
    app: Arc<App>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Serves on the loopback interface; port 0 is any free one.
    pub(crate) async fn start(app: Arc<App>, routes: Router<Arc<App>>, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, router(routes, app.clone()))
            .with_graceful_shutdown(async { _ = stopped.await });
        Ok(Self { url, app, stop, task: tokio::spawn(server.into_future()) })
    }

    /// Takes no more requests, and returns when no card's key is held.
    pub(crate) async fn stop(mut self) -> Result<(), TimedOut> {
        self.stop.send(()).ok();
        // A client that never finishes its request can keep its connection open, but not the server.
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
        self.app.locks.drained().timeout(GRACE).await
    }
}
