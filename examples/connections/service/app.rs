//! What the handlers share, and which handlers a side has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use latchwork::RetryPolicy;
use latchwork::publish::Publisher;
use latchwork::sql::{Scope, ScopeCounts};
use latchwork::verdict::RetryKind;
use latchwork::web::Problem;
use serde::Serialize;

use super::error::ServiceError;
use super::session::Sessions;
use super::{Db, Home, Place, guarded, naive, store};
use crate::body::MAX_BODY;
use crate::compare::{Failure, Life, Seen, Service};
use crate::input::{Token, Wish};
use crate::report::Audit;
use crate::running::{self, Running};
use crate::side::{Phase, Side};
use crate::upstream::Kitchen;

/// How long a transaction may wait for the handler, and a statement may take.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct App {
    place: Place,
    pub(crate) side: Side,
    pub(crate) kitchen: Kitchen,
    /// Of the naive handlers.
    pub(crate) sessions: Sessions,
    /// Of the guarded handlers.
    pub(crate) scope: Scope<Db>,
    pub(crate) policy: RetryPolicy,
    running: Running,
}

#[derive(Serialize)]
pub(crate) struct LoggedIn {
    pub(crate) token: String,
}

#[derive(Serialize)]
pub(crate) struct Menu {
    pub(crate) number: i64,
    pub(crate) dish: String,
}

impl App {
    /// Returns who sends the request, and what they like. It reads only, each statement by itself.
    pub(crate) async fn favourite(&self, token: &str) -> Result<(String, String), ServiceError> {
        let mut db = self.place.pool.acquire().await?;
        let user = store::user_of(&mut db, token).await?;
        let favourite = store::favourite(&mut db, &user).await?;
        Ok((user, favourite))
    }
}

async fn preferences(State(app): State<Arc<App>>, Token(token): Token) -> Result<Json<Wish>, ServiceError> {
    let mut db = app.place.pool.acquire().await?;
    let user = store::user_of(&mut db, &token).await?;
    Ok(Json(store::preferences(&mut db, &user).await?))
}

impl Service for Arc<App> {
    type Home = Home;

    async fn open(
        home: &Home,
        side: Side,
        life: Life,
        kitchen: Kitchen,
        users: &[(String, String)],
    ) -> Result<Self, Failure> {
        let place = Place::open(home, side.name(), life).await?;
        store::create(&place.pool, users).await?;
        let mut scope = Scope::new(place.pool.clone()).immediate(true).name("changes");
        scope = scope.statement_timeout(PATIENCE).idle_timeout(PATIENCE);
        if let Side::Guarded(mode) = &side {
            scope = scope.mode(mode);
        }
        let policy = RetryPolicy::new().name("changes").retry_kind(RetryKind::UniqueViolation, true);
        let policy =
            policy.max_attempts(10).base_delay(Duration::from_millis(2)).max_delay(Duration::from_millis(50));
        let (sessions, running) = (Sessions::new(place.pool.clone()), Running::default());
        Ok(Self::new(App { place, side, kitchen, sessions, scope, policy, running }))
    }

    fn routes(&self) -> Router {
        let (login, menu, set_preferences) = match self.side {
            Side::Naive => (post(naive::login), post(naive::menu), put(naive::set_preferences)),
            Side::Guarded(_) => (post(guarded::login), post(guarded::menu), put(guarded::set_preferences)),
        };
        Router::new()
            .route("/login", login)
            .route("/menu", menu)
            .route("/preferences", set_preferences.get(preferences))
            .route("/healthz", get(async || "ok\n"))
            .fallback(async || Problem::new(StatusCode::NOT_FOUND))
            .method_not_allowed_fallback(async || Problem::new(StatusCode::METHOD_NOT_ALLOWED))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(from_fn_with_state(self.running.clone(), running::count))
            .with_state(self.clone())
    }

    async fn seen(&self) -> Result<Seen, Failure> {
        let pool = &self.place.pool;
        Ok(Seen {
            in_use: u64::from(pool.size()).saturating_sub(pool.num_idle() as u64),
            idle_in_transaction: self.place.idle_in_transaction().await?,
            running: self.running.count(),
        })
    }

    async fn audit(&self) -> Result<BTreeMap<Phase, Audit>, Failure> {
        // As a restart does: a connection that was leaked sees the data as they were when its transaction began.
        self.sessions.forget();
        self.place.close_pool().await;
        Ok(store::audit(&mut self.place.outsider().await?).await?)
    }

    fn scope_counts(&self) -> ScopeCounts {
        self.scope.stats().counts()
    }

    fn rolled_back_by_hand(&self) -> u64 {
        self.sessions.rolled_back()
    }

    fn publish(&self, publisher: Publisher) -> Publisher {
        publisher.scope(&self.scope)
    }

    async fn close(self) -> Result<(), Failure> {
        self.sessions.forget();
        self.place.close_pool().await;
        self.place.remove().await
    }
}
