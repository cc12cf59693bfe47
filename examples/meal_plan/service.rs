//! The service: the handler as it was, alone or behind a lock for each user, and the server around it.

use std::io;
use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures::FutureExt;
use latchwork::TimedOut;
use latchwork::web::Problem;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::generator;
use crate::guard::Guard;
use crate::input::{Click, MAX_BODY, User};
use crate::store::{Plan, Store};

pub(crate) struct App {
    pub(crate) store: Store,
}

/// The handler as it was: two of them read the same position, and both record what follows it.
async fn generate(State(app): State<Arc<App>>, click: Click) -> Result<Json<Plan>, Problem> {
    let Click { user, days, fault } = click;
    let position = app.store.position(&user).await?;
    let meals = generator::generate(position, days, fault).await?;
    let plan = Plan { user, position, meals };
    app.store.record(&plan).await?;
    Ok(Json(plan))
}

async fn latest(State(app): State<Arc<App>>, User(user): User) -> Result<Json<Plan>, Problem> {
    let plan = app.store.latest(&user).await?;
    plan.map(Json).ok_or_else(|| not_found("there is no plan for this user yet"))
}

fn not_found(detail: &'static str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND).with_detail(detail)
}

/// The service as it was, or with the same handler behind a lock for each user.
fn router(app: Arc<App>, guard: Option<&Guard>) -> Router {
    let generate = match guard {
        None => post(generate),
        Some(guard) => post(generate).route_layer(guard.layer.clone()),
    };
    let no_user = || Problem::new(StatusCode::BAD_REQUEST).with_detail("the user id must not be empty");
    let other_method =
        || Problem::new(StatusCode::METHOD_NOT_ALLOWED).with_detail("this takes other methods: see Allow");
    Router::new()
        .route("/users/{user}/plan", generate.get(latest))
        .route("/users//plan", any(async move || no_user()))
        .route("/healthz", get(async || "ok\n"))
        .fallback(async || not_found("there is nothing here"))
        .method_not_allowed_fallback(async move || other_method())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(catch_panic))
        .with_state(app)
}

/// A panic costs its request a 500, not the connection.
async fn catch_panic(request: Request, next: Next) -> Response {
    let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    response.unwrap_or_else(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR).with_detail("the handler panicked").into_response()
    })
}

/// How long a server that is told to stop waits for what is under way.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

pub(crate) struct Server {
    pub(crate) url: String,
    guard: Option<Arc<Guard>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    /// Serves on the loopback interface, and `others` beside the service; port 0 is any free one.
    pub(crate) async fn start(
        app: Arc<App>,
        guard: Option<Arc<Guard>>,
        others: Router,
        port: u16,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, router(app, guard.as_deref()).merge(others))
            .with_graceful_shutdown(async { _ = stopped.await });
        Ok(Self { url, guard, stop, task: tokio::spawn(server.into_future()) })
    }

    /// Takes no more requests, and returns when no user's key is held.
    pub(crate) async fn stop(mut self) -> Result<(), TimedOut> {
        self.stop.send(()).ok();
        // A client that never finishes its request can keep its connection open, but not the server.
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
        match self.guard {
            Some(guard) => guard.stop().await,
            None => Ok(()),
        }
    }
}
