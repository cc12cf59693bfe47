//! The services: routes to the handlers as they were or to the guarded ones, and the server around them.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::{get, patch, post, put};
use axum::{Json, Router};
use latchwork::{KeyedLock, TimedOut};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::answer::Tagged;
use crate::input::{CardId, MAX_BODY, SlugText, UserId};
use crate::policies::Policies;
use crate::problem::Problem;
use crate::store::{Card, Profile, Slugs, Store, Views};
use crate::{guarded, naive};

pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) policies: Policies,
    /// For those who count views, by card.
    pub(crate) locks: KeyedLock<i64>,
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
        Ok(Arc::new(Self { store, policies: Policies::new(), locks: KeyedLock::new() }))
    }
}

async fn card(State(app): State<Arc<App>>, CardId(id): CardId) -> Result<Tagged<Card>, Problem> {
    app.store.card(id).await?.map(Tagged).ok_or_else(Problem::no_card)
}

async fn card_by_slug(
    State(app): State<Arc<App>>,
    SlugText(slug): SlugText,
) -> Result<Tagged<Card>, Problem> {
    app.store.card_by_slug(&slug).await?.map(Tagged).ok_or_else(Problem::no_card)
}

async fn views(State(app): State<Arc<App>>, CardId(id): CardId) -> Result<Json<Views>, Problem> {
    app.store.views(id).await?.map(Json).ok_or_else(Problem::no_card)
}

async fn profile(State(app): State<Arc<App>>, UserId(user): UserId) -> Result<Tagged<Profile>, Problem> {
    let profile = app.store.profile(&user).await?;
    profile.map(Tagged).ok_or(Problem::new(StatusCode::NOT_FOUND, "there is no profile of this user"))
}

async fn metrics(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.policies.metrics())
}

fn router(app: Arc<App>, handlers: Handlers) -> Router {
    let writes = match handlers {
        Handlers::Naive => Router::new()
            .route("/cards", post(naive::create))
            .route("/cards/{id}", patch(naive::edit))
            .route("/cards/{id}/views", post(naive::count_view))
            .route("/profiles/{user}", put(naive::put_profile)),
        Handlers::Guarded => Router::new()
            .route("/cards", post(guarded::create))
            .route("/cards/{id}", patch(guarded::edit))
            .route("/cards/{id}/views", post(guarded::count_view))
            .route("/profiles/{user}", put(guarded::put_profile)),
    };
    writes
        .route("/cards/{id}", get(card))
        .route("/cards/{id}/views", get(views))
        .route("/slugs/{slug}", get(card_by_slug))
        .route("/profiles/{user}", get(profile))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing here"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this takes other methods: see Allow")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
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
    pub(crate) async fn start(app: Arc<App>, handlers: Handlers, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, router(app.clone(), handlers))
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
