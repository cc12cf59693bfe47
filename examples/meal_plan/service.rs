//! The service: the handler as it was, the same handler behind a lock for each user, and the server
//! around them.

use std::io;
use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use futures::FutureExt;
use latchwork::{KeyedLock, TimedOut};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::generator;
use crate::input::{Click, MAX_BODY, User};
use crate::problem::Problem;
use crate::store::{Plan, Store};

pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) locks: KeyedLock<String>,
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

/// The same, one at a time for each user; who comes meanwhile is told so at once. The guard goes
/// when this future does: on return, `?` and panic, and when the client hangs up.
async fn generate_guarded(State(app): State<Arc<App>>, click: Click) -> Result<Json<Plan>, Problem> {
    let _guard = app.locks.try_lock(&click.user)?;
    generate(State(app.clone()), click).await
}

async fn latest(State(app): State<Arc<App>>, User(user): User) -> Result<Json<Plan>, Problem> {
    let plan = app.store.latest(&user).await?;
    plan.map(Json).ok_or(Problem::new(StatusCode::NOT_FOUND, "there is no plan for this user yet"))
}

/// Which handler answers a click.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    Naive,
    Guarded,
}

fn router(app: Arc<App>, handler: Handler) -> Router {
    let plan = match handler {
        Handler::Naive => get(latest).post(generate),
        Handler::Guarded => get(latest).post(generate_guarded),
    };
    Router::new()
        .route("/users/{user}/plan", plan)
        .route("/users//plan", any(async || Problem::bad_request("the user id must not be empty")))
        .route("/healthz", get(async || "ok\n"))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing here"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this takes other methods: see Allow")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(catch_panic))
        .with_state(app)
}

/// A panic costs its request a 500, not the connection.
async fn catch_panic(request: Request, next: Next) -> Response {
    let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    response.unwrap_or_else(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the handler panicked").into_response()
    })
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
    pub(crate) async fn start(app: Arc<App>, handler: Handler, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, router(app.clone(), handler))
            .with_graceful_shutdown(async { _ = stopped.await });
        Ok(Self { url, app, stop, task: tokio::spawn(server.into_future()) })
    }

    /// Takes no more requests, and returns when no user's key is held.
    pub(crate) async fn stop(mut self) -> Result<(), TimedOut> {
        self.stop.send(()).ok();
        // A client that never finishes its request can keep its connection open, but not the server.
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
        self.app.locks.drained().timeout(GRACE).await
    }
}
