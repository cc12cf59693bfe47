//! The requests that are under way, counted from outside, and a 500 for a panic.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use latchwork::web::Problem;

/// How many requests are under way. It is a handle.
#[derive(Clone, Default)]
pub(crate) struct Running(Arc<AtomicUsize>);

impl Running {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// Counts one request until it is answered or dropped.
struct UnderWay(Running);

impl UnderWay {
    fn new(running: Running) -> Self {
        running.0.fetch_add(1, Ordering::Relaxed);
        Self(running)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Release);
    }
}

/// Counts a request while it is under way. A panic costs it a 500, and not the connection.
pub(crate) async fn count(State(running): State<Running>, request: Request, next: Next) -> Response {
    let under_way = UnderWay::new(running);
    let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    drop(under_way);
    response.unwrap_or_else(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR).with_detail("the handler panicked").into_response()
    })
}
